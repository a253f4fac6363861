"""Where the bytes of a file are, remembered while it is being read: often range by range."""

from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic
from typing import Final
from uuid import UUID

from artstore.core.stores.files import FilesStore
from artstore.services.query.metrics import QueryMetrics

REMEMBERED_FOR: Final = 60.0
"""Seconds. What is remembered cannot be wrong for long: the element knows best, and says so."""

MAX_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Location:
    """The element that holds a file, and the SHA-256 that it must give."""

    element_id: str
    checksum: str


class Locations:
    """Looks files up in the index, each of them once in a while."""

    def __init__(self, store: FilesStore, metrics: QueryMetrics) -> None:
        self._store = store
        self._metrics = metrics
        self._remembered: OrderedDict[UUID, tuple[Location, float]] = OrderedDict()

    async def get(self, file_id: UUID) -> Location:
        """Where the file is.

        Raises:
            NotFoundError: the index has no such file.
        """
        remembered = self._remembered.get(file_id)
        if remembered is not None and monotonic() < remembered[1]:
            self._metrics.note_lookup("memory")
            return remembered[0]
        self._metrics.note_lookup("index")
        file = await self._store.get(file_id)
        location = Location(file.element_id, file.attributes.checksum)
        self._remember(file_id, location)
        return location

    def forget(self, file_id: UUID) -> None:
        """It was not there: look again next time."""
        self._remembered.pop(file_id, None)

    def _remember(self, file_id: UUID, location: Location) -> None:
        self._remembered[file_id] = (location, monotonic() + REMEMBERED_FOR)
        self._remembered.move_to_end(file_id)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
