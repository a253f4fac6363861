"""A storage that fails where a test wants it to."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from artstore.core.spec import (
    AtomicBatch,
    ByteRange,
    Capabilities,
    ObjectInfo,
    StorageBackend,
    StorageReader,
    UnavailableError,
    Usage,
)

Fault = Callable[[str], Exception | None]
"""What a call for this key fails with, if it does."""


def no_fault(key: str) -> Exception | None:
    return None


def down(key: str) -> Exception | None:
    return UnavailableError("the storage is down")


class FaultyStorage(StorageBackend, AtomicBatch):
    """Another back end, but for its faults, which may be set at any time.

    ``fault_after_put`` fails when the object is in place already: the caller cannot know. A batch has the
    faults of each of its keys.
    """

    def __init__(self, storage: StorageBackend, *, has_batches: bool = True) -> None:
        self._storage = storage
        self._batches = storage.capabilities.atomic_batch if has_batches else None
        self.free: int | None = None
        self.fault_before_put: Fault = no_fault
        self.fault_after_put: Fault = no_fault
        self.fault_on_delete: Fault = no_fault
        self.fault_on_get: Fault = no_fault
        self.fault_on_usage: Fault = no_fault

    @property
    def capabilities(self) -> Capabilities:
        return replace(self._storage.capabilities, atomic_batch=None if self._batches is None else self)

    @property
    def max_batch_size(self) -> int:
        assert self._batches is not None
        return self._batches.max_batch_size

    async def put_batch(self, objects: Mapping[str, bytes]) -> Sequence[ObjectInfo]:
        assert self._batches is not None
        for key in objects:
            _raise(await asyncio.to_thread(self.fault_before_put, key))
        infos = await self._batches.put_batch(objects)
        for key in objects:
            _raise(self.fault_after_put(key))
        return infos

    async def put(
        self, key: str, body: AsyncIterable[bytes], *, size: int | None = None, sha256: str | None = None
    ) -> ObjectInfo:
        _raise(await asyncio.to_thread(self.fault_before_put, key))
        info = await self._storage.put(key, body, size=size, sha256=sha256)
        _raise(self.fault_after_put(key))
        return info

    def get(
        self, key: str, *, byte_range: ByteRange | None = None
    ) -> AbstractAsyncContextManager[StorageReader]:
        _raise(self.fault_on_get(key))
        return self._storage.get(key, byte_range=byte_range)

    async def head(self, key: str) -> ObjectInfo:
        return await self._storage.head(key)

    async def delete(self, key: str) -> None:
        _raise(self.fault_on_delete(key))
        await self._storage.delete(key)

    def list(self, prefix: str = "", *, after: str | None = None) -> AsyncIterator[ObjectInfo]:
        return self._storage.list(prefix, after=after)

    async def usage(self) -> Usage:
        _raise(self.fault_on_usage(""))
        usage = await self._storage.usage()
        return usage if self.free is None else Usage(used=0, total=self.free, free=self.free)


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error


def with_free_space(free: int) -> Callable[[StorageBackend], FaultyStorage]:
    """Makes a storage say that it has so many bytes in all, and all of them free."""

    def wrap(storage: StorageBackend) -> FaultyStorage:
        limited = FaultyStorage(storage)
        limited.free = free
        return limited

    return wrap


class Faults:
    """The storage of a running element, and the faults it shall have."""

    def __init__(self, *, has_batches: bool) -> None:
        self.storage: FaultyStorage
        self._has_batches = has_batches

    def wrap(self, storage: StorageBackend) -> FaultyStorage:
        self.storage = FaultyStorage(storage, has_batches=self._has_batches)
        return self.storage

    def heal(self) -> None:
        self.storage.fault_before_put = self.storage.fault_after_put = no_fault
        self.storage.fault_on_delete = self.storage.fault_on_get = no_fault
