"""What is known of a catalog without asking it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from artstore.services.storage_element.catalog_records import Committed, Intent, IntentOutcome
from artstore.services.storage_element.recent_files import RecentFiles


@dataclass(slots=True)
class CatalogState:
    """The ends of journal and write-ahead log, and what is under way.

    ``epoch`` is another after each rebuild; ``newest_id`` is the largest id, of those that grow with time;
    ``unusable`` counts the sidecars that could not be used when it was built; ``pending`` are the intents
    that are not finished, by file, that of the root under ``None``; ``changed`` is set by the next change,
    and then replaced by another event.
    """

    epoch: str
    last_sequence: int
    last_transaction: int
    file_count: int
    newest_id: UUID
    unusable: int
    pending: dict[UUID | None, Intent]
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    recent: RecentFiles = field(default_factory=RecentFiles)

    def is_beyond(self, file_id: UUID) -> bool:
        """Whether ``file_id`` is certainly that of no file: it is younger than all of its kind."""
        return _grows_with_time(file_id) and file_id > self.newest_id

    def note(
        self,
        *,
        begun: Sequence[Intent],
        committed: Sequence[Committed],
        finished: Sequence[tuple[Intent, IntentOutcome]],
        last_sequence: int,
    ) -> None:
        """What one transaction wrote, and where the journal ends with it."""
        self.pending.update((intent.file_id, intent) for intent in begun)
        for intent, _ in finished:
            self.pending.pop(intent.file_id, None)
        for each in committed:
            self.file_count += each.change.count_change
            self.recent.forget(each.change.file_id)
            if self.is_beyond(each.change.file_id):
                self.newest_id = each.change.file_id
        if last_sequence > self.last_sequence:
            self.last_sequence = last_sequence
            self._tell()

    def note_forgotten(self, known: Committed, *, sequence: int) -> None:
        """A file is no longer known, as the last entry of the journal says."""
        self.last_sequence = sequence
        self.file_count -= not known.is_deleted
        self.recent.forget(known.change.file_id)
        self._tell()

    def switch(
        self, *, epoch: str, last_sequence: int, file_count: int, newest_id: UUID, unusable: int
    ) -> None:
        """Another catalog is in place; what is under way goes on."""
        self.epoch, self.last_sequence = epoch, last_sequence
        self.file_count, self.newest_id, self.unusable = file_count, newest_id, unusable
        self.recent = RecentFiles()
        self._tell()

    def _tell(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


def _grows_with_time(file_id: UUID) -> bool:
    """UUID version 7 (RFC 9562 section 5.7), as we make them and so do our ingesters."""
    return file_id.version == 7
