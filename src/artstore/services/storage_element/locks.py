"""One change of one file at a time."""

import asyncio
from uuid import UUID
from weakref import WeakValueDictionary


class FileLocks:
    """A lock per file id; those that nobody holds or waits for cost nothing."""

    def __init__(self) -> None:
        self._locks = WeakValueDictionary[UUID, asyncio.Lock]()

    def __getitem__(self, file_id: UUID) -> asyncio.Lock:
        lock = self._locks.get(file_id)
        if lock is None:
            lock = self._locks[file_id] = asyncio.Lock()
        return lock
