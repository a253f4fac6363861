"""One change of one file, or of the root, at a time."""

import asyncio
from uuid import UUID
from weakref import WeakValueDictionary


class FileLocks:
    """A lock per file id, that of the root under ``None``; those that nobody holds or waits for cost nothing.

    Who holds that of the root may wait for that of a file, and not the other way round.
    """

    def __init__(self) -> None:
        self._locks = WeakValueDictionary[UUID | None, asyncio.Lock]()

    def __getitem__(self, file_id: UUID | None) -> asyncio.Lock:
        lock = self._locks.get(file_id)
        if lock is None:
            lock = self._locks[file_id] = asyncio.Lock()
        return lock
