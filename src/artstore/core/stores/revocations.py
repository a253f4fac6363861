"""Revoked tokens, in the order in which they were revoked."""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

import uuid
from typing import Final

from artstore.core.revocation import Revocation, RevocationPage
from artstore.core.spec import Database, Transaction
from artstore.core.stores.rows import Record, StoredTime, integer, text, to_microseconds


class RevocationRow(Record):
    """A :class:`Revocation` in its place. ``id`` tells one life of the database from another."""

    id: str
    token_id: str | None = None
    key_id: str | None = None
    client_id: str | None = None
    issued_before: StoredTime | None = None
    revoked_at: StoredTime
    expires_at: StoredTime


_COLUMNS: Final = list(RevocationRow.model_fields)
_INSERT: Final = (
    f"INSERT INTO revocations (sequence, {', '.join(_COLUMNS)})"
    f" SELECT COALESCE(MAX(sequence), 0) + 1, {', '.join(f':{column}' for column in _COLUMNS)}"
    " FROM revocations"
)
NOTHING: Final = "0-"
"""The position before the first revocation."""


class RevocationsStore:
    """What is revoked until every token that is meant has expired."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, revocation: Revocation) -> None:
        """Revoke. Again: it is revoked all the same."""
        async with self._database.transaction() as transaction:
            await add_revocation(transaction, revocation)

    async def after(self, position: str, *, limit: int) -> RevocationPage:
        """What was revoked after ``position``, oldest first; everything after one that is not known."""
        sequence = await self._sequence(position)
        rows = await self._database.fetch_all(
            "SELECT * FROM revocations WHERE sequence > :sequence ORDER BY sequence LIMIT :limit",
            {"sequence": sequence, "limit": limit + 1},
        )
        page = rows[:limit]
        if page:
            last = page[-1]
            position = f"{integer(last, 'sequence')}-{text(last, 'id')}"
        elif sequence == 0:
            position = NOTHING
        items = [Revocation.model_validate(RevocationRow.from_row(row).model_dump()) for row in page]
        return RevocationPage(items=items, position=position, has_more=len(rows) > limit)

    async def _sequence(self, position: str) -> int:
        """Zero for a position of another database, such as one that was lost or is an older copy."""
        number, _, revocation_id = position.partition("-")
        if not number.isdecimal() or len(number) > 18:
            return 0
        row = await self._database.fetch_one(
            "SELECT sequence FROM revocations WHERE sequence = :sequence AND id = :id",
            {"sequence": int(number), "id": revocation_id},
        )
        return 0 if row is None else integer(row, "sequence")


async def add_revocation(transaction: Transaction, revocation: Revocation) -> None:
    """Revoke together with whatever else ``transaction`` changes."""
    # The newest stays: its number must not be given again.
    await transaction.execute(
        "DELETE FROM revocations WHERE expires_at <= :now"
        " AND sequence < (SELECT MAX(sequence) FROM revocations)",
        {"now": to_microseconds(revocation.revoked_at)},
    )
    row = RevocationRow(id=uuid.uuid4().hex, **revocation.model_dump())
    await transaction.execute(_INSERT, row.to_row())
