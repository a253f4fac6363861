"""The checkpoints of the audit log, and what is removed behind them."""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from artstore.core.audit.checkpoints import Checkpoint
from artstore.core.spec import Database, NotFoundError, Parameters, Row
from artstore.core.stores.leases import Lease, require_lease
from artstore.core.stores.rows import Record, StoredTime, from_microseconds, integer, text, to_microseconds

PRUNED_AT_ONCE: Final = 2_000
"""Records of one transaction: others wait for it."""

_SUPERFLUOUS: Final = (
    "DELETE FROM audit_log WHERE position IN"
    " (SELECT position FROM audit_log WHERE position <= :through ORDER BY position LIMIT :limit)"
)


class CheckpointSummary(Record):
    """What is known of a checkpoint without reading its document, which may have thousands of hashes."""

    number: int
    size: int
    created_at: StoredTime


class CheckpointsStore:
    """What one process at a time adds to, the one that holds the lease."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self) -> Sequence[Checkpoint]:
        """All that are there, the oldest first.

        Raises:
            ValueError: one is none.
        """
        rows = await self._database.fetch_all("SELECT document FROM audit_checkpoints ORDER BY number")
        return [_checkpoint(row) for row in rows]

    async def newest(self) -> CheckpointSummary | None:
        """The one of the highest number."""
        return await self._summary("ORDER BY number DESC LIMIT 1")

    async def get(self, number: int) -> Checkpoint:
        """One checkpoint.

        Raises:
            NotFoundError: it is not there.
            ValueError: it is none.
        """
        row = await self._database.fetch_one(
            "SELECT document FROM audit_checkpoints WHERE number = :number", {"number": number}
        )
        if row is None:
            raise NotFoundError(f"there is no checkpoint {number}")
        return _checkpoint(row)

    async def add(self, checkpoint: Checkpoint, lease: Lease) -> None:
        """Add the next one.

        Raises:
            AlreadyExistsError: its number is taken.
            PreconditionFailedError: the lease is lost.
        """
        async with self._database.transaction() as transaction:
            await require_lease(transaction, lease)
            await transaction.execute(
                "INSERT INTO audit_checkpoints (number, size, created_at, document)"
                " VALUES (:number, :size, :created_at, :document)",
                {
                    "number": checkpoint.number,
                    "size": checkpoint.size,
                    "created_at": to_microseconds(checkpoint.created_at),
                    "document": checkpoint.to_json().decode(),
                },
            )

    async def unpublished(self) -> CheckpointSummary | None:
        """The oldest that is on no storage element yet."""
        return await self._summary("WHERE element_id IS NULL ORDER BY number LIMIT 1")

    async def note_published(self, number: int, *, element_id: str) -> None:
        """A storage element has it."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "UPDATE audit_checkpoints SET element_id = :element_id WHERE number = :number",
                {"number": number, "element_id": element_id},
            )

    async def newest_before(self, moment: datetime) -> CheckpointSummary | None:
        """The newest published one that was made before ``moment``, as were all of its records."""
        return await self._summary(
            "WHERE created_at < :moment AND element_id IS NOT NULL ORDER BY number DESC LIMIT 1",
            {"moment": to_microseconds(moment)},
        )

    async def oldest_record(self) -> tuple[int, datetime] | None:
        """Position and time of the oldest record that is there."""
        row = await self._database.fetch_one(
            "SELECT position, occurred_at FROM audit_log ORDER BY position LIMIT 1"
        )
        if row is None:
            return None
        return integer(row, "position"), from_microseconds(integer(row, "occurred_at"))

    async def prune(self, behind: CheckpointSummary, lease: Lease) -> None:
        """Remove the records that ``behind`` vouches for, some at a time, and the checkpoints before it.

        Raises:
            PreconditionFailedError: the lease is lost.
        """
        removed = PRUNED_AT_ONCE
        while removed == PRUNED_AT_ONCE:
            async with self._database.transaction() as transaction:
                await require_lease(transaction, lease)
                removed = await transaction.execute(
                    _SUPERFLUOUS, {"through": behind.size, "limit": PRUNED_AT_ONCE}
                )
                await transaction.execute(
                    "DELETE FROM audit_checkpoints WHERE number < :number", {"number": behind.number}
                )

    async def _summary(self, which: str, parameters: Parameters | None = None) -> CheckpointSummary | None:
        row = await self._database.fetch_one(
            f"SELECT number, size, created_at FROM audit_checkpoints {which}", parameters
        )
        return None if row is None else CheckpointSummary.from_row(row)


def _checkpoint(row: Row) -> Checkpoint:
    return Checkpoint.from_json(text(row, "document").encode())
