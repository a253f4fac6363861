"""Audit records that are due: written with the change itself, until the record is in the log."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from artstore.core.audit.notes import Cause, present_cause
from artstore.core.audit.record import AuditRecord
from artstore.core.spec import Database, Parameters, Row, Statement, Transaction
from artstore.core.stores.forwarding import ForwardingDatabase
from artstore.core.stores.rows import text, to_microseconds

OVERDUE_AT_ONCE: Final = 500

_ADD: Final = (
    "INSERT INTO audit_due (change, created_at, cause) VALUES (:change, :created_at, :cause)"
    " ON CONFLICT (change) DO NOTHING"
)
_SETTLE: Final = "DELETE FROM audit_due WHERE change = :change"
_OVERDUE: Final = "SELECT cause FROM audit_due WHERE created_at < :before ORDER BY created_at LIMIT :limit"


class RecordedDatabase(ForwardingDatabase):
    """What a request changes in it leaves the audit record that is due for that, in the same transaction.

    So there is no change of which nobody knows who made it, though the process was killed before it
    recorded it, or its spool is lost.
    """

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        cause = present_cause()
        return super().transaction() if cause is None else self._owing(cause)

    @asynccontextmanager
    async def _owing(self, cause: Cause) -> AsyncGenerator[Transaction, None]:
        async with super().transaction() as transaction:
            watched = _Watched(transaction)
            yield watched
            if watched.has_changed:
                now = to_microseconds(datetime.now(UTC))
                due: Parameters = {"change": cause.change, "created_at": now, "cause": cause.record}
                await transaction.execute(_ADD, due)


class _Watched(Transaction):
    """Knows whether something was changed."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.has_changed = False

    async def fetch_one(self, sql: str, parameters: Parameters | None = None) -> Row | None:
        return await self._transaction.fetch_one(sql, parameters)

    async def fetch_all(self, sql: str, parameters: Parameters | None = None) -> Sequence[Row]:
        return await self._transaction.fetch_all(sql, parameters)

    async def execute(self, sql: str, parameters: Parameters | None = None) -> int:
        changed = await self._transaction.execute(sql, parameters)
        self.has_changed |= changed > 0
        return changed

    async def executemany(self, sql: str, parameters: Iterable[Parameters]) -> None:
        self.has_changed = True
        await self._transaction.executemany(sql, parameters)

    async def execute_all(self, statements: Iterable[Statement]) -> None:
        self.has_changed = True
        await self._transaction.execute_all(statements)


class DueStore:
    """What is due of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def overdue(self, *, before: datetime) -> Sequence[str]:
        """Records as JSON, due since before then, the oldest first."""
        parameters = {"before": to_microseconds(before), "limit": OVERDUE_AT_ONCE}
        return [text(row, "cause") for row in await self._database.fetch_all(_OVERDUE, parameters)]


async def settle(transaction: Transaction, records: Iterable[AuditRecord]) -> None:
    """``records`` come into the log: they are not due any more. None but admin's own are admin's debts."""
    paid = [{"change": each.change} for each in records if each.change and each.reported_by is None]
    if paid:
        await transaction.executemany(_SETTLE, paid)
