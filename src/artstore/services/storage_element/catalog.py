"""The catalog of an element: answers quickly what the sidecars say, and numbers every change."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Self, TypedDict, cast
from uuid import UUID

from artstore.core.attribute_fields import format_timestamp
from artstore.core.attributes import FileStatus
from artstore.core.journal import FileOperation
from artstore.core.modes import Mode
from artstore.core.spec import Database, Parameters, Row, Transaction
from artstore.core.stores.rows import integer, text
from artstore.services.storage_element.catalog_records import (
    Change,
    Committed,
    Intent,
    IntentOperation,
    IntentOutcome,
)
from artstore.services.storage_element.catalog_schema import read_meta
from artstore.services.storage_element.catalog_state import CatalogState
from artstore.services.storage_element.catalog_writer import APPEND, CatalogWriter, journal_row

_GET: Final = (
    "SELECT f.storage_key, f.attributes, f.attributes_digest, f.status, j.sequence, j.time, j.operation,"
    " (SELECT value FROM catalog_meta WHERE name = 'epoch') AS epoch"
    " FROM catalog_files AS f JOIN catalog_journal AS j ON j.sequence = f.sequence"
    " WHERE f.file_id = :file_id"
)
_LIST: Final = (
    "SELECT attributes FROM catalog_files WHERE status = 'active' AND file_id > :after"
    " ORDER BY file_id LIMIT :limit OFFSET :offset"
)
_JOURNAL: Final = (
    "SELECT j.sequence, j.time, j.operation, j.file_id, j.attributes_digest, j.mode, f.attributes,"
    " (SELECT value FROM catalog_meta WHERE name = 'epoch') AS epoch"
    " FROM catalog_journal AS j LEFT JOIN catalog_files AS f ON f.file_id = j.file_id"
    " WHERE j.sequence > :after ORDER BY j.sequence LIMIT :limit"
)
_POSITION: Final = (
    "SELECT COALESCE((SELECT MAX(sequence) FROM catalog_journal), 0) AS last_sequence,"
    " (SELECT COUNT(*) FROM catalog_files WHERE status = 'active') AS file_count,"
    " (SELECT COUNT(*) FROM catalog_unusable) AS unusable,"
    " (SELECT MAX(file_id) FROM catalog_files WHERE SUBSTR(file_id, 15, 1) = '7') AS newest_id"
)
_UNUSABLE: Final = (
    "SELECT storage_key, reason FROM catalog_unusable WHERE file_id = :file_id ORDER BY storage_key"
)
_LAST_TRANSACTION: Final = "SELECT COALESCE(MAX(transaction_id), 0) AS last_transaction FROM catalog_wal"
_FORGET: Final = "DELETE FROM catalog_files WHERE file_id = :file_id"
_SET_EPOCH: Final = "UPDATE catalog_meta SET value = :epoch WHERE name = 'epoch'"
_PENDING: Final = (
    "SELECT transaction_id, operation, file_id, storage_key, mode, cause FROM catalog_wal"
    " WHERE status = 'pending' ORDER BY transaction_id"
)
_UNRECORDED: Final = (
    "SELECT transaction_id, operation, file_id, storage_key, mode, cause, status FROM catalog_wal"
    " WHERE status <> 'pending' AND cause IS NOT NULL ORDER BY transaction_id"
)


class Catalog:
    """Files, journal and write-ahead log of one element, which is its only writer."""

    def __init__(self, database: Database, state: CatalogState) -> None:
        self._database = database
        self._state = state
        self._writer = CatalogWriter(database, state)

    @classmethod
    async def load(cls, database: Database, *, epoch: str) -> Self:
        """The catalog as it was left."""
        ends = await _ends(database)
        last = await database.fetch_one(_LAST_TRANSACTION)
        pending = [_intent(row) for row in await database.fetch_all(_PENDING)]
        state = CatalogState(
            epoch=epoch,
            last_transaction=0 if last is None else integer(last, "last_transaction"),
            pending={intent.file_id: intent for intent in pending},
            **ends,
        )
        return cls(database, state)

    @property
    def epoch(self) -> str:
        """Names this catalog: another one, built later, has another."""
        return self._state.epoch

    @property
    def last_sequence(self) -> int:
        """The newest position of the journal."""
        return self._state.last_sequence

    @property
    def file_count(self) -> int:
        """How many files there are, without deleted ones."""
        return self._state.file_count

    @property
    def is_new(self) -> bool:
        """Whether there never was a file."""
        return self._state.last_sequence == 0 and self._state.unusable == 0

    @property
    def pending(self) -> Mapping[UUID | None, Intent]:
        """Intents that are not finished, by file; that of the root under ``None``."""
        return self._state.pending

    @property
    def changed(self) -> asyncio.Event:
        """Set by the next change, and then replaced by another event."""
        return self._state.changed

    async def get(self, file_id: UUID) -> Committed | None:
        """What is known of a file, deleted ones included."""
        if self._state.is_beyond(file_id):
            return None
        recent = self._state.recent
        if (remembered := recent.get(file_id)) is not None:
            return remembered
        question = recent.ask(file_id)
        committed = None
        try:
            if (row := await self._database.fetch_one(_GET, {"file_id": str(file_id)})) is not None:
                committed = _committed(row, file_id)
        finally:
            recent.answer(question, file_id, committed)
        return committed

    async def unusable(self, file_id: UUID) -> Mapping[str, str]:
        """The sidecars that should be of a file, and why they could not be used when it was built."""
        if not self._state.unusable:
            return {}
        rows = await self._database.fetch_all(_UNUSABLE, {"file_id": str(file_id)})
        return {text(row, "storage_key"): text(row, "reason") for row in rows}

    async def list(self, *, after: str, limit: int, offset: int) -> Sequence[str]:
        """Sidecars, as JSON, of the files that are not deleted, in the order of their ids."""
        parameters: Parameters = {"after": after, "limit": limit, "offset": offset}
        return [text(row, "attributes") for row in await self._database.fetch_all(_LIST, parameters)]

    async def journal(self, *, after: int, limit: int) -> Sequence[Row]:
        """Entries after a position: the fields of a ``JournalEntry``, ``attributes`` as JSON; of one epoch.

        That is the present one: when another catalog was just put in place, it is asked.
        """
        while True:
            rows = await self._database.fetch_all(_JOURNAL, {"after": after, "limit": limit})
            if not rows or rows[0]["epoch"] == self.epoch:
                return rows

    async def begin(
        self,
        operation: IntentOperation,
        file_id: UUID | None,
        key: str,
        *,
        mode: Mode | None = None,
        cause: str | None = None,
    ) -> Intent:
        """Log what is about to be done to a file, or to the mode of the root."""
        return await self._writer.begin(operation, file_id, key, mode=mode, cause=cause)

    def note_recorded(self, intent: Intent) -> None:
        """The audit record of an intent is on stable storage: log that when something is logged next."""
        self._writer.note_recorded(intent)

    async def write_recorded(self) -> None:
        """Log it now."""
        await self._writer.write_recorded()

    async def unrecorded(self) -> Sequence[tuple[Intent, IntentOutcome]]:
        """Intents that are finished, how, and of which it is not logged that they were recorded."""
        rows = await self._database.fetch_all(_UNRECORDED)
        return [(_intent(row), cast("IntentOutcome", text(row, "status"))) for row in rows]

    async def record(self, change: Change, *, finishes: Intent | None = None) -> Committed:
        """Index a sidecar that is in place, journal it and finish its intent, in one transaction."""
        return await self._writer.record(change, finishes=finishes)

    async def record_mode(self, mode: Mode, *, finishes: Intent) -> None:
        """Journal the mode that is in force now and finish its intent, in one transaction."""
        await self._writer.record_mode(mode, finishes=finishes)

    async def finish(self, intent: Intent, outcome: IntentOutcome) -> None:
        """Log how an intent ended that changed nothing, or whose change is recorded."""
        await self._writer.finish(intent, outcome)

    async def probe(self) -> str:
        """Whether the database answers."""
        await self._database.fetch_one("SELECT 1 AS answer")
        return f"{self.file_count} files, position {self.last_sequence}"

    async def forget(self, known: Committed) -> None:
        """Forget a file of which nothing is left, and say so in the journal."""
        change = known.change
        async with self._writer.paused():
            sequence = self._state.last_sequence + 1
            gone = replace(change, operation="delete")
            entry = Committed(gone, sequence, format_timestamp(datetime.now(UTC)), self.epoch)
            async with self._database.transaction() as transaction:
                await transaction.execute(_FORGET, {"file_id": str(change.file_id)})
                await transaction.execute(APPEND.format(table="catalog_journal"), journal_row(entry))
            self._state.note_forgotten(known, sequence=sequence)

    async def switch(self, put_in_place: Callable[[Transaction], Awaitable[None]], *, epoch: str) -> None:
        """Serve from now on what ``put_in_place`` makes the catalog's tables, in one transaction.

        Nothing is written meanwhile; readers see the one catalog or the other.
        """
        async with self._writer.paused():
            try:
                async with self._database.transaction() as transaction:
                    await put_in_place(transaction)
                    await transaction.execute(_SET_EPOCH, {"epoch": epoch})
            finally:
                # A commit that failed may have been made: what is there counts.
                if (await read_meta(self._database)).get("epoch") == epoch:
                    self._state.switch(epoch=epoch, **await _ends(self._database))

    async def close(self) -> None:
        """Wait until everything is written."""
        await self._writer.close()


class _Ends(TypedDict):
    last_sequence: int
    file_count: int
    newest_id: UUID
    unusable: int


async def _ends(database: Database) -> _Ends:
    position = await database.fetch_one(_POSITION)
    assert position is not None, "a statement without FROM has one row"
    newest = position["newest_id"]
    return {
        "last_sequence": integer(position, "last_sequence"),
        "file_count": integer(position, "file_count"),
        "unusable": integer(position, "unusable"),
        "newest_id": UUID(int=0) if newest is None else UUID(text(position, "newest_id")),
    }


def _committed(row: Row, file_id: UUID) -> Committed:
    change = Change(
        operation=cast("FileOperation", text(row, "operation")),
        file_id=file_id,
        key=text(row, "storage_key"),
        sidecar=text(row, "attributes").encode(),
        digest=text(row, "attributes_digest"),
        status=cast("FileStatus", text(row, "status")),
    )
    return Committed(change, integer(row, "sequence"), text(row, "time"), text(row, "epoch"))


def _intent(row: Row) -> Intent:
    return Intent(
        integer(row, "transaction_id"),
        cast("IntentOperation", text(row, "operation")),
        None if row["file_id"] is None else UUID(text(row, "file_id")),
        text(row, "storage_key"),
        cast("Mode | None", row["mode"]),
        cast("str | None", row["cause"]),
    )
