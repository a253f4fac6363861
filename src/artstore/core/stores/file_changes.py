"""What becomes of journal entries, given what the index knows already: the rules, without any SQL."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from artstore.core.stores.file_rows import FileRow, Precedence, Tombstone


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What the index holds of a file, as far as it decides."""

    row_id: int
    element_id: str
    epoch: str
    sequence: int
    attributes_digest: str
    is_permanent: bool
    version: int
    updated_at: int

    @property
    def precedence(self) -> Precedence:
        """Which of two elements' copies of a file holds: the one with the larger."""
        return self.is_permanent, self.version, self.updated_at, self.element_id


@dataclass(slots=True)
class Changes:
    """What is to be written, by ``row_id`` where the file has one already."""

    added: list[FileRow] = field(default_factory=list[FileRow])
    replaced: dict[int, FileRow] = field(default_factory=dict[int, FileRow])
    confirmed: dict[int, int] = field(default_factory=dict[int, int])
    removed: list[int] = field(default_factory=list[int])
    skipped: int = 0


def newest(entries: Iterable[FileRow | Tombstone]) -> list[FileRow | Tombstone]:
    """The last entry of each file."""
    last: dict[str, FileRow | Tombstone] = {}
    for entry in entries:
        other = last.get(entry.file_id)
        if other is None or entry.sequence > other.sequence:
            last[entry.file_id] = entry
    return list(last.values())


def decide(
    entries: Sequence[FileRow | Tombstone], known: Mapping[str, KnownFile], *, element_id: str, epoch: str
) -> Changes:
    """Sort out entries of one element and epoch, at most one of each file."""
    changes = Changes()
    for entry in entries:
        file = known.get(entry.file_id)
        if file is None:
            _add(changes, entry)
        elif file.element_id != element_id:
            _compete(changes, entry, file)
        elif file.epoch == epoch and entry.sequence <= file.sequence:
            changes.skipped += 1
        else:
            _follow(changes, entry, file)
    return changes


def _add(changes: Changes, entry: FileRow | Tombstone) -> None:
    if isinstance(entry, FileRow):
        changes.added.append(entry)
    else:
        changes.skipped += 1


def _compete(changes: Changes, entry: FileRow | Tombstone, file: KnownFile) -> None:
    """Another element holds the file: its copy stays unless this one is the newer."""
    if isinstance(entry, FileRow) and entry.precedence > file.precedence:
        changes.replaced[file.row_id] = entry
    else:
        changes.skipped += 1


def _follow(changes: Changes, entry: FileRow | Tombstone, file: KnownFile) -> None:
    if isinstance(entry, Tombstone):
        changes.removed.append(file.row_id)
    elif entry.attributes_digest == file.attributes_digest:
        changes.confirmed[file.row_id] = entry.sequence
    else:
        changes.replaced[file.row_id] = entry
