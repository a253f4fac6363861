"""Storage and database of an element, which nobody changes who does not hold the root."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from artstore.core.spec import (
    AtomicBatch,
    ByteRange,
    Capabilities,
    Database,
    ObjectInfo,
    StorageBackend,
    StorageReader,
    Transaction,
    Usage,
)
from artstore.core.stores.forwarding import ForwardingDatabase
from artstore.services.storage_element.lease import RootLease


class FencedDatabase(ForwardingDatabase):
    """Another database. A transaction needs the lease at its beginning, and again before it counts."""

    def __init__(self, database: Database, lease: RootLease) -> None:
        super().__init__(database)
        self._lease = lease

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction, None]:
        self._lease.check()
        async with super().transaction() as transaction:
            yield transaction
            self._lease.check()


class FencedStorage(StorageBackend, AtomicBatch):
    """Another back end. What changes it needs the lease before, and again before it counts as done:
    what was written too late may have been overtaken.
    """

    def __init__(self, storage: StorageBackend, lease: RootLease) -> None:
        self._storage = storage
        self._lease = lease
        self._batches = storage.capabilities.atomic_batch
        self._capabilities = replace(
            storage.capabilities, atomic_batch=None if self._batches is None else self
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def max_batch_size(self) -> int:
        assert self._batches is not None, "without batches there is no such ability"
        return self._batches.max_batch_size

    async def put_batch(self, objects: Mapping[str, bytes]) -> Sequence[ObjectInfo]:
        assert self._batches is not None, "without batches there is no such ability"
        self._lease.check()
        infos = await self._batches.put_batch(objects)
        self._lease.check()
        return infos

    async def put(
        self, key: str, body: AsyncIterable[bytes], *, size: int | None = None, sha256: str | None = None
    ) -> ObjectInfo:
        self._lease.check()
        info = await self._storage.put(key, self._held(body), size=size, sha256=sha256)
        self._lease.check()
        return info

    async def _held(self, body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """The body, which may take hours, as long as the lease is held."""
        async for chunk in body:
            yield chunk
            self._lease.check()

    def get(
        self, key: str, *, byte_range: ByteRange | None = None
    ) -> AbstractAsyncContextManager[StorageReader]:
        return self._storage.get(key, byte_range=byte_range)

    async def head(self, key: str) -> ObjectInfo:
        return await self._storage.head(key)

    async def delete(self, key: str) -> None:
        self._lease.check()
        await self._storage.delete(key)

    def list(self, prefix: str = "", *, after: str | None = None) -> AsyncIterator[ObjectInfo]:
        return self._storage.list(prefix, after=after)

    async def usage(self) -> Usage:
        return await self._storage.usage()
