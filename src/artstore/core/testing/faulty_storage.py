"""A storage that fails where a test wants it to: another back end, but for its faults."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from artstore.core.spec import (
    AtomicBatch,
    ByteRange,
    Capabilities,
    NotFoundError,
    ObjectInfo,
    StorageBackend,
    StorageReader,
    UnavailableError,
    Usage,
)

Fault = Callable[[str], Exception | None]
"""What a call for this key fails with, if it does."""


def no_fault(key: str) -> Exception | None:
    """Nothing fails."""
    return None


def down(key: str) -> Exception | None:
    """Everything fails."""
    return UnavailableError("the storage is down")


class FaultyStorage(StorageBackend, AtomicBatch):
    """Another back end, but for its faults, which may be set at any time. Without any it keeps the contract.

    ``fault_after_put`` fails when the object is in place already: the caller cannot know. A batch has the
    faults of each of its keys. Of abilities it has batches, unless ``has_batches`` is false, and the paths
    and URLs of the other, which lead past every fault: ``has_ways_past`` hides them.
    """

    def __init__(
        self, storage: StorageBackend, *, has_batches: bool = True, has_ways_past: bool = True
    ) -> None:
        self._storage = storage
        self._batches = storage.capabilities.atomic_batch if has_batches else None
        self._has_ways_past = has_ways_past
        self.heal()

    def heal(self) -> None:
        """Have no faults from now on."""
        self.free: int | None = None
        """Bytes that the medium says it has, all of them free."""
        self.fault_before_put: Fault = no_fault
        self.fault_after_put: Fault = no_fault
        self.fault_on_delete: Fault = no_fault
        self.fault_on_get: Fault = no_fault
        self.fault_on_head: Fault = no_fault
        self.fault_on_list: Fault = no_fault
        self.fault_on_usage: Fault = no_fault
        self.fail_put_after: int | None = None
        """Bytes of a body that are taken before its put fails."""
        self.cut_reads_after: int | None = None
        """Bytes that a reader gives at most; then it ends as if that were all."""
        self.ignores_ranges = False
        """Whoever asks for a part is given everything."""
        self.lost_keys: set[str] = set()
        """Keys that were stored and are not found."""
        self.delay = 0.0
        """Seconds before each call and each chunk."""

    @property
    def capabilities(self) -> Capabilities:
        capabilities = replace(
            self._storage.capabilities, atomic_batch=None if self._batches is None else self
        )
        return (
            capabilities if self._has_ways_past else replace(capabilities, local_paths=None, presigner=None)
        )

    @property
    def max_batch_size(self) -> int:
        assert self._batches is not None
        return self._batches.max_batch_size

    async def put_batch(self, objects: Mapping[str, bytes]) -> Sequence[ObjectInfo]:
        assert self._batches is not None
        await self._wait()
        for key in objects:
            _raise(await asyncio.to_thread(self.fault_before_put, key))
        infos = await self._batches.put_batch(objects)
        for key in objects:
            _raise(self.fault_after_put(key))
        return infos

    async def put(
        self, key: str, body: AsyncIterable[bytes], *, size: int | None = None, sha256: str | None = None
    ) -> ObjectInfo:
        await self._wait()
        _raise(await asyncio.to_thread(self.fault_before_put, key))
        info = await self._storage.put(key, self._received(body), size=size, sha256=sha256)
        _raise(self.fault_after_put(key))
        return info

    def get(
        self, key: str, *, byte_range: ByteRange | None = None
    ) -> AbstractAsyncContextManager[StorageReader]:
        _raise(self.fault_on_get(key))
        return self._get(key, None if self.ignores_ranges else byte_range)

    async def head(self, key: str) -> ObjectInfo:
        await self._wait()
        _raise(self.fault_on_head(key))
        self._require_kept(key)
        return await self._storage.head(key)

    async def delete(self, key: str) -> None:
        await self._wait()
        _raise(self.fault_on_delete(key))
        await self._storage.delete(key)

    async def list(self, prefix: str = "", *, after: str | None = None) -> AsyncIterator[ObjectInfo]:
        _raise(self.fault_on_list(prefix))
        async for info in self._storage.list(prefix, after=after):
            await self._wait()
            if info.key not in self.lost_keys:
                yield info

    async def usage(self) -> Usage:
        await self._wait()
        _raise(self.fault_on_usage(""))
        usage = await self._storage.usage()
        return usage if self.free is None else Usage(used=0, total=self.free, free=self.free)

    @asynccontextmanager
    async def _get(self, key: str, byte_range: ByteRange | None) -> AsyncGenerator[StorageReader, None]:
        await self._wait()
        self._require_kept(key)
        async with self._storage.get(key, byte_range=byte_range) as reader:
            yield replace(reader, chunks=self._given(reader.chunks))

    async def _received(self, body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in body:
            await self._wait()
            received += len(chunk)
            if self.fail_put_after is not None and received > self.fail_put_after:
                raise UnavailableError(f"the storage failed after {self.fail_put_after} bytes")
            yield chunk

    async def _given(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        given = 0
        async for chunk in chunks:
            await self._wait()
            rest = len(chunk) if self.cut_reads_after is None else self.cut_reads_after - given
            if rest <= 0:
                return
            yield chunk[:rest]
            given += len(chunk)

    def _require_kept(self, key: str) -> None:
        if key in self.lost_keys:
            raise NotFoundError(f"there is no object {key!r}")

    async def _wait(self) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error
