"""The index of files: a cache of what the storage elements' journals say, and nothing else."""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final
from uuid import UUID

from artstore.core.attributes import FileAttributes
from artstore.core.journal import JournalEntry, UnreadEntry
from artstore.core.search import JournalPosition
from artstore.core.spec import (
    Database,
    InvalidRequestError,
    NotFoundError,
    Parameter,
    PreconditionFailedError,
    Reader,
    Row,
    Transaction,
)
from artstore.core.stores.file_changes import Changes, KnownFile, decide, newest
from artstore.core.stores.file_rows import FileRow, Tombstone, to_row
from artstore.core.stores.file_writer import FileWriter
from artstore.core.stores.index_positions import (
    IndexPosition,
    get_position,
    list_positions,
    set_position,
)
from artstore.core.stores.leases import Lease, require_lease
from artstore.core.stores.rows import count, integer, listed, text

FORGET_BATCH: Final = 1000
"""Rows removed in one transaction; others write between two."""

_PREPARED_INLINE: Final = 4
"""Entries are prepared in a thread when there are more: each takes about 50 µs."""

_LAST_ROW_ID: Final = 2**63 - 1

_FIRST_WAIT: Final = 0.01
_LONGEST_WAIT: Final = 0.2
"""Seconds between two looks at a position that is waited for."""

_INDEXED_FILE: Final = (
    "f.element_id, f.sequence, s.attributes FROM files AS f CROSS JOIN file_sidecars AS s"
    " WHERE s.row_id = f.row_id"
)


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file as the index knows it."""

    element_id: str
    sequence: int
    attributes: FileAttributes


@dataclass(frozen=True, slots=True)
class FilePage:
    """A slice of the files, newest first; ``next_after`` asks for the one that follows."""

    items: Sequence[IndexedFile]
    total: int
    has_more: bool
    next_after: str | None


@dataclass(frozen=True, slots=True)
class Applied:
    """What a slice of a journal did to the index, in files; repeats of one file are ``skipped``."""

    written: int
    confirmed: int
    removed: int
    skipped: int


class FilesStore:
    """Every file that is not deleted, once, with the element that holds it.

    Rows are written by :meth:`apply` alone, from journal entries, and the order in which these come
    does not matter: whoever repeats the journals ends in the same state.

    * What the journal was read beyond is known already: it is skipped.
    * Of one element, the entry with the higher sequence holds.
    * When two elements hold a file, a permanent copy does before a temporary one; else the copy with the
      higher version; the one that was updated later when the versions are equal. A deletion on one element
      leaves the copy of the other.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def apply(
        self,
        element_id: str,
        epoch: str,
        entries: Sequence[JournalEntry | UnreadEntry],
        *,
        position: int | None = None,
        lease: Lease | None = None,
    ) -> Applied:
        """Repeat a slice of a journal, in one transaction.

        Args:
            element_id: Whose journal it is.
            epoch: The epoch of the journal.
            entries: The slice. Those that concern no file are passed over. One whose attributes are
                absent says that the file is no more. Unread ones are read when they are not known already.
            position: The sequence that the journal has now been read to, for whoever reads it from
                its beginning without gaps. ``None`` for entries that were handed over: they are
                applied only as far as the reader of the journal has not passed them.
            lease: What gives the caller the right to write; it is checked in the same transaction.

        Raises:
            PreconditionFailedError: ``lease`` is lost, or ``position`` is of another epoch than the
                one being read: read the position again.
        """
        of_files = [entry for entry in entries if entry.file_id is not None]
        unknown = await self._unknown(of_files, element_id=element_id, epoch=epoch)
        said = await _prepare(unknown, element_id=element_id, epoch=epoch)
        async with self._database.transaction() as transaction:
            await _check_lease(transaction, lease)
            known = await get_position(transaction, element_id)
            if position is not None and known is not None and known.epoch != epoch:
                raise _other_epoch(known, epoch)
            news = newest(
                row for row in said if known is None or not known.covers(epoch=epoch, sequence=row.sequence)
            )
            files = await _known_files(
                transaction,
                file_ids=[row.file_id for row in news],
                row_ids=[row.preferred_row_id for row in news if isinstance(row, FileRow)],
            )
            changes = decide(news, files, element_id=element_id, epoch=epoch)
            await self._write(transaction, changes, files, epoch=epoch)
            if position is not None and (known is None or position > known.sequence):
                await set_position(transaction, element_id, epoch=epoch, sequence=position)
        return Applied(
            written=len(changes.added) + len(changes.replaced),
            confirmed=len(changes.confirmed),
            removed=len(changes.removed),
            skipped=changes.skipped + len(of_files) - len(news),
        )

    async def new_epoch(self, element_id: str, epoch: str, *, lease: Lease | None = None) -> None:
        """Begin to read a journal from its beginning, unless this epoch is being read already.

        Files stay found meanwhile; :meth:`forget_older_epochs` removes those that are no more.
        """
        async with self._database.transaction() as transaction:
            await _check_lease(transaction, lease)
            known = await get_position(transaction, element_id)
            if known is None or known.epoch != epoch:
                await set_position(transaction, element_id, epoch=epoch, sequence=0)

    async def forget_older_epochs(self, element_id: str, epoch: str, *, lease: Lease | None = None) -> int:
        """Remove the files of an element that ``epoch``, read to its end, has not named; how many.

        Raises:
            PreconditionFailedError: ``lease`` is lost, or another epoch is being read.
        """
        forgotten = 0
        while removed := await self._forget_some(element_id, epoch, lease):
            forgotten += removed
        return forgotten

    async def get(self, file_id: UUID) -> IndexedFile:
        """One file.

        Raises:
            NotFoundError: the index has no such file.
        """
        row = await self._database.fetch_one(
            f"SELECT {_INDEXED_FILE} AND f.file_id = :file_id",
            {"file_id": str(file_id)},
        )
        if row is None:
            raise NotFoundError(f"there is no file {file_id}")
        return _indexed_file(row)

    async def list(
        self, *, element_id: str | None = None, limit: int = 100, offset: int = 0, after: str | None = None
    ) -> FilePage:
        """Files of one element or of all, newest first.

        Raises:
            InvalidRequestError: ``after`` is not the ``next_after`` of a page.
        """
        where, parameters = _list_where(element_id)
        total = await count(self._database, f"SELECT 1 FROM files AS f WHERE {where}", parameters)
        rows = await self._database.fetch_all(
            f"SELECT f.row_id, {_INDEXED_FILE} AND {where} AND f.row_id < :before"
            " ORDER BY f.row_id DESC LIMIT :limit OFFSET :offset",
            {**parameters, "before": _row_id_of(after), "limit": limit + 1, "offset": offset},
        )
        items = rows[:limit]
        has_more = len(rows) > limit
        return FilePage(
            items=[_indexed_file(row) for row in items],
            total=total,
            has_more=has_more,
            next_after=str(items[-1]["row_id"]) if has_more else None,
        )

    async def position(self, element_id: str) -> IndexPosition | None:
        """How far the journal of an element has been read; ``None`` when that has not begun."""
        return await get_position(self._database, element_id)

    async def positions(self) -> Sequence[IndexPosition]:
        """How far every journal has been read."""
        return await list_positions(self._database)

    async def wait_for_position(self, position: JournalPosition, *, within: float) -> bool:
        """Wait until the index holds what the element's journal says up to ``position``.

        False when ``within`` seconds were not enough.

        Raises:
            InvalidRequestError: no element of this name was ever registered or read.
        """
        await self._require_element(position.element_id)
        deadline = monotonic() + within
        pause = _FIRST_WAIT
        while not await self._has_reached(position):
            remaining = deadline - monotonic()
            if remaining <= 0:
                return False
            await asyncio.sleep(min(pause, remaining))
            pause = min(2 * pause, _LONGEST_WAIT)
        return True

    async def _unknown(
        self, entries: Sequence[JournalEntry | UnreadEntry], *, element_id: str, epoch: str
    ) -> Sequence[JournalEntry | UnreadEntry]:
        """The entries without those that are known, as far as can be told before the transaction.

        Asking costs less than preparing: the journal repeats all that was handed over.
        """
        if len(entries) <= _PREPARED_INLINE:
            return entries
        position = await get_position(self._database, element_id)
        read = position.sequence if position is not None and position.epoch == epoch else 0
        files = await _known_files(self._database, file_ids=[str(entry.file_id) for entry in entries])

        def is_known(entry: JournalEntry | UnreadEntry) -> bool:
            file = files.get(str(entry.file_id))
            return entry.sequence <= read or (
                file is not None
                and (file.element_id, file.epoch) == (element_id, epoch)
                and entry.sequence <= file.sequence
            )

        return [entry for entry in entries if not is_known(entry)]

    async def _write(
        self, transaction: Transaction, changes: Changes, files: Mapping[str, KnownFile], *, epoch: str
    ) -> None:
        writer = FileWriter(transaction, self._database.search_index)
        placed = await writer.place(changes.added, taken={file.row_id for file in files.values()})
        await writer.write({**placed, **changes.replaced}, replaced=list(changes.replaced))
        await writer.confirm(changes.confirmed, epoch=epoch)
        await writer.remove(changes.removed)

    async def _forget_some(self, element_id: str, epoch: str, lease: Lease | None) -> int:
        async with self._database.transaction() as transaction:
            await _check_lease(transaction, lease)
            known = await get_position(transaction, element_id)
            if known is None or known.epoch != epoch:
                raise _other_epoch(known, epoch)
            # Two ranges of one index: <> would walk over all that the new epoch has confirmed.
            rows = await transaction.fetch_all(
                "SELECT row_id FROM files WHERE (element_id = :element_id AND epoch < :epoch)"
                " OR (element_id = :element_id AND epoch > :epoch) LIMIT :batch",
                {"element_id": element_id, "epoch": epoch, "batch": FORGET_BATCH},
            )
            await FileWriter(transaction, self._database.search_index).remove(
                [integer(row, "row_id") for row in rows]
            )
        return len(rows)

    async def _has_reached(self, position: JournalPosition) -> bool:
        known = await get_position(self._database, position.element_id)
        return known is not None and known.sequence >= position.sequence

    async def _require_element(self, element_id: str) -> None:
        row = await self._database.fetch_one(
            "SELECT 1 AS known FROM elements WHERE element_id = :element_id"
            " UNION ALL SELECT 1 FROM index_positions WHERE element_id = :element_id",
            {"element_id": element_id},
        )
        if row is None:
            raise InvalidRequestError(f"at_least names {element_id}, which is no storage element")


async def _prepare(
    entries: Sequence[JournalEntry | UnreadEntry], *, element_id: str, epoch: str
) -> list[FileRow | Tombstone]:
    """Everything that needs no database, before the transaction in which others would wait for it."""

    def prepare() -> list[FileRow | Tombstone]:
        return [to_row(_read(entry), element_id=element_id, epoch=epoch) for entry in entries]

    return prepare() if len(entries) <= _PREPARED_INLINE else await asyncio.to_thread(prepare)


def _read(entry: JournalEntry | UnreadEntry) -> JournalEntry:
    return entry.read() if isinstance(entry, UnreadEntry) else entry


async def _check_lease(transaction: Transaction, lease: Lease | None) -> None:
    if lease is not None:
        await require_lease(transaction, lease)


async def _known_files(
    reader: Reader, *, file_ids: Sequence[str], row_ids: Sequence[int] = ()
) -> Mapping[str, KnownFile]:
    """What the index holds under these ids, or under a ``row_id`` that a new file would have."""
    if not file_ids:
        return {}
    file_list, file_parameters = listed("file_id", file_ids)
    row_list, row_parameters = listed("row_id", row_ids)
    found = await reader.fetch_all(
        "SELECT file_id, row_id, element_id, epoch, sequence, attributes_digest, retention_policy,"
        " version, updated_at"
        f" FROM files WHERE file_id IN ({file_list}) OR row_id IN ({row_list or 'NULL'})",
        {**file_parameters, **row_parameters},
    )
    return {text(row, "file_id"): _known_file(row) for row in found}


def _known_file(row: Row) -> KnownFile:
    return KnownFile(
        row_id=integer(row, "row_id"),
        element_id=text(row, "element_id"),
        epoch=text(row, "epoch"),
        sequence=integer(row, "sequence"),
        attributes_digest=text(row, "attributes_digest"),
        is_permanent=text(row, "retention_policy") == "permanent",
        version=integer(row, "version"),
        updated_at=integer(row, "updated_at"),
    )


def _other_epoch(known: IndexPosition | None, epoch: str) -> PreconditionFailedError:
    read = "no epoch" if known is None else f"epoch {known.epoch}"
    return PreconditionFailedError(f"{read} of the journal is being read, not {epoch}")


def _list_where(element_id: str | None) -> tuple[str, dict[str, Parameter]]:
    return ("TRUE", {}) if element_id is None else ("f.element_id = :element_id", {"element_id": element_id})


def _row_id_of(after: str | None) -> int:
    if after is None:
        return _LAST_ROW_ID
    row_id = int(after) if after.isascii() and after.isdigit() and len(after) < 20 else _LAST_ROW_ID + 1
    if row_id > _LAST_ROW_ID:
        raise InvalidRequestError("after is not a cursor: send next_after of the page before")
    return row_id


def _indexed_file(row: Row) -> IndexedFile:
    return IndexedFile(
        element_id=text(row, "element_id"),
        sequence=integer(row, "sequence"),
        attributes=FileAttributes.from_json(text(row, "attributes").encode(), limit=2**63),
    )
