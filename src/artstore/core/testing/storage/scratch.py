"""A part of a back end that others use as well, as an empty back end of its own."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from artstore.core.spec import (
    AtomicBatch,
    ByteRange,
    Capabilities,
    ObjectInfo,
    Presigner,
    StorageBackend,
    StorageReader,
    Usage,
)


class ScratchStorage(StorageBackend, AtomicBatch, Presigner):
    """What lies below ``prefix``. Nothing is validated here: it is the back end's to refuse a key.

    Keys below a prefix are as valid, and in the same order, as without it; only fewer bytes are left.
    """

    def __init__(self, storage: StorageBackend, prefix: str) -> None:
        self._storage = storage
        self._prefix = prefix

    @property
    def capabilities(self) -> Capabilities:
        found = self._storage.capabilities
        return replace(
            found,
            local_paths=None,
            strangers=None,
            presigner=None if found.presigner is None else self,
            atomic_batch=None if found.atomic_batch is None else self,
        )

    async def put(
        self, key: str, body: AsyncIterable[bytes], *, size: int | None = None, sha256: str | None = None
    ) -> ObjectInfo:
        return self._without(await self._storage.put(self._prefix + key, body, size=size, sha256=sha256))

    def get(
        self, key: str, *, byte_range: ByteRange | None = None
    ) -> AbstractAsyncContextManager[StorageReader]:
        return self._get(self._prefix + key, byte_range)

    async def head(self, key: str) -> ObjectInfo:
        return self._without(await self._storage.head(self._prefix + key))

    async def delete(self, key: str) -> None:
        await self._storage.delete(self._prefix + key)

    async def list(self, prefix: str = "", *, after: str | None = None) -> AsyncIterator[ObjectInfo]:
        after = None if after is None else self._prefix + after
        async for info in self._storage.list(self._prefix + prefix, after=after):
            yield self._without(info)

    async def usage(self) -> Usage:
        return await self._storage.usage()

    async def presign_get(self, key: str, *, expires_in: float) -> str:
        presigner = self._storage.capabilities.presigner
        assert presigner is not None
        return await presigner.presign_get(self._prefix + key, expires_in=expires_in)

    @property
    def max_batch_size(self) -> int:
        return self._batches.max_batch_size

    async def put_batch(self, objects: Mapping[str, bytes]) -> Sequence[ObjectInfo]:
        prefixed = {self._prefix + key: content for key, content in objects.items()}
        return [self._without(info) for info in await self._batches.put_batch(prefixed)]

    @property
    def _batches(self) -> AtomicBatch:
        batches = self._storage.capabilities.atomic_batch
        assert batches is not None
        return batches

    @asynccontextmanager
    async def _get(self, key: str, byte_range: ByteRange | None) -> AsyncGenerator[StorageReader, None]:
        async with self._storage.get(key, byte_range=byte_range) as reader:
            yield replace(reader, info=self._without(reader.info))

    def _without(self, info: ObjectInfo) -> ObjectInfo:
        return replace(info, key=info.key.removeprefix(self._prefix))
