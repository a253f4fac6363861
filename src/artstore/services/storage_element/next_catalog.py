"""The catalog that is being built beside the one that serves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast
from uuid import UUID

from artstore.core.attributes import FileAttributes, FileStatus
from artstore.core.inspection import Example
from artstore.core.journal import FileOperation
from artstore.core.naming import SIDECAR_SUFFIX
from artstore.core.spec import Reader, Row, Transaction
from artstore.core.stores.rows import count, integer, listed, text
from artstore.services.storage_element.catalog_records import Change, Committed
from artstore.services.storage_element.catalog_writer import APPEND, PUT_FILE, file_row, journal_row
from artstore.services.storage_element.sidecars import Sidecar, Unusable

_PUT_FILE: Final = PUT_FILE.format(table="catalog_next_files")
_APPEND: Final = APPEND.format(table="catalog_next_journal")
_PUT_UNUSABLE: Final = (
    "INSERT INTO catalog_next_unusable (file_id, storage_key, reason)"
    " VALUES (:file_id, :storage_key, :reason) ON CONFLICT (file_id, storage_key) DO NOTHING"
)
_CORRECT: Final = (
    "UPDATE catalog_next_journal SET operation = :operation, attributes_digest = :attributes_digest"
    " WHERE sequence = :sequence"
)
_KNOWN: Final = (
    "SELECT file_id, storage_key, attributes, attributes_digest, status, sequence"
    " FROM catalog_next_files WHERE file_id IN ({ids})"
)
# Of the entries of one file only its newest is joined.
_CHANGED: Final = (
    "SELECT f.file_id, f.storage_key, f.attributes, f.attributes_digest, f.status"
    " FROM catalog_journal AS j JOIN catalog_files AS f"
    " ON f.file_id = j.file_id AND f.sequence = j.sequence"
    " WHERE j.sequence > :after AND j.sequence <= :until ORDER BY j.sequence"
)
_LACKING: Final = (
    " FROM catalog_files AS f LEFT JOIN catalog_next_files AS n ON n.file_id = f.file_id"
    " WHERE n.file_id IS NULL AND f.sequence <= :until"
)
_REMOVE_FORGOTTEN: Final = (
    "DELETE FROM catalog_next_files WHERE file_id IN ("
    " SELECT j.file_id FROM catalog_journal AS j WHERE j.sequence > :after"
    " AND NOT EXISTS (SELECT 1 FROM catalog_files AS f WHERE f.file_id = j.file_id))"
)


@dataclass(slots=True)
class Added:
    """What became of some sidecars: so many new files, and sidecars of files that had another already."""

    files: int = 0
    copies: list[Unusable] = field(default_factory=list[Unusable])


async def add(transaction: Transaction, sidecars: Sequence[Sidecar], *, after: int, time: str) -> Added:
    """Index sidecars that were found; the journal goes on ``after`` a position."""
    added = Added()
    best = _best(sidecars, added)
    known = await _known(transaction, best)
    replaced: list[Committed] = []
    new: list[Committed] = []
    for file_id, sidecar in best.items():
        if (row := known.get(file_id)) is None:
            new.append(Committed(sidecar.change, after + len(new) + 1, time, ""))
        elif sidecar.precedence > _sidecar(row).precedence:
            replaced.append(Committed(sidecar.change, integer(row, "sequence"), time, ""))
            added.copies.append(_copy(text(row, "storage_key"), sidecar.change.key))
        else:
            added.copies.append(_copy(sidecar.change.key, text(row, "storage_key")))
    await _write(transaction, new, replaced=replaced)
    added.files = len(new)
    return added


async def put_unusable(transaction: Transaction, sidecars: Iterable[Unusable]) -> None:
    """Keep that these ids have a sidecar, though nobody can tell what it says: they are not free."""
    rows = [
        {"file_id": str(each.file_id), "storage_key": each.key, "reason": each.reason}
        for each in sidecars
        if each.file_id is not None
    ]
    if rows:
        await transaction.executemany(_PUT_UNUSABLE, rows)


async def carry_over(
    transaction: Transaction, *, after: int, until: int, position: int, time: str
) -> tuple[int, int]:
    """Repeat what the present catalog says of the files that changed between two positions of its journal.

    ``position`` is the last one of the next catalog; how many entries and how many files it has got.
    """
    changed = await transaction.fetch_all(_CHANGED, {"after": after, "until": until})
    known = await _known(transaction, [text(row, "file_id") for row in changed])
    changes = [_change(row, known.get(text(row, "file_id"))) for row in changed if not _is_known(row, known)]
    await _write(
        transaction,
        [Committed(change, number, time, "") for number, change in enumerate(changes, position + 1)],
    )
    return len(changes), sum(1 for change in changes if str(change.file_id) not in known)


async def lacking(reader: Reader, *, until: int, limit: int) -> tuple[int, Sequence[Example]]:
    """How many files the present catalog has, up to a position of its journal, that the next one lacks.

    With the first ``limit`` of them.
    """
    number = await count(reader, f"SELECT 1{_LACKING}", {"until": until})
    rows = await reader.fetch_all(
        f"SELECT f.file_id, f.storage_key{_LACKING} ORDER BY f.file_id LIMIT :limit",
        {"until": until, "limit": limit},
    )
    reason = "the catalog knows file {}, and the storage has no sidecar of it that can be used"
    return number, [
        Example(key=text(row, "storage_key"), reason=reason.format(text(row, "file_id"))) for row in rows
    ]


async def remove_forgotten(transaction: Transaction, *, after: int) -> int:
    """Forget what the present catalog has forgotten since a position of its journal; how many files."""
    return await transaction.execute(_REMOVE_FORGOTTEN, {"after": after})


def _best(sidecars: Sequence[Sidecar], added: Added) -> dict[str, Sidecar]:
    """One sidecar per file."""
    best: dict[str, Sidecar] = {}
    for sidecar in sidecars:
        file_id = str(sidecar.attributes.file_id)
        other = best.setdefault(file_id, sidecar)
        if other is sidecar:
            continue
        if sidecar.precedence > other.precedence:
            best[file_id], sidecar, other = sidecar, other, sidecar
        added.copies.append(_copy(sidecar.change.key, other.change.key))
    return best


async def _known(transaction: Transaction, file_ids: Iterable[str]) -> Mapping[str, Row]:
    ids, parameters = listed("id", list(file_ids))
    if not parameters:
        return {}
    rows = await transaction.fetch_all(_KNOWN.format(ids=ids), parameters)
    return {text(row, "file_id"): row for row in rows}


async def _write(
    transaction: Transaction, new: Sequence[Committed], *, replaced: Sequence[Committed] = ()
) -> None:
    if new or replaced:
        await transaction.executemany(_PUT_FILE, [file_row(each) for each in (*new, *replaced)])
    if new:
        await transaction.executemany(_APPEND, map(journal_row, new))
    for each in replaced:
        change = each.change
        await transaction.execute(
            _CORRECT,
            {"operation": change.operation, "attributes_digest": change.digest, "sequence": each.sequence},
        )


def _is_known(row: Row, known: Mapping[str, Row]) -> bool:
    """Whether the sidecar was read in this very version, in this place."""
    other = known.get(text(row, "file_id"))
    return other is not None and all(
        row[name] == other[name] for name in ("storage_key", "attributes_digest")
    )


def _change(row: Row, known: Row | None) -> Change:
    operation: FileOperation = "create" if known is None else "update"
    if row["status"] == "deleted":
        operation = "delete"
    return Change(
        operation=operation,
        file_id=UUID(text(row, "file_id")),
        key=text(row, "storage_key"),
        sidecar=text(row, "attributes").encode(),
        digest=text(row, "attributes_digest"),
        status=cast("FileStatus", text(row, "status")),
    )


def _sidecar(row: Row) -> Sidecar:
    change = _change(row, None)
    return Sidecar(FileAttributes.from_json(change.sidecar, limit=len(change.sidecar)), change)


def _copy(key: str, other: str) -> Unusable:
    return Unusable(
        key + SIDECAR_SUFFIX, "copy", f"it is of the file whose sidecar is {other}{SIDECAR_SUFFIX}"
    )
