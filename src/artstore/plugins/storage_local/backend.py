"""The ``local`` storage back end: coroutines that hand blocking work to the back end's own threads."""

import asyncio
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager
from errno import EDQUOT, EFBIG, EISDIR, ENOSPC, ENOTDIR
from itertools import islice
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from artstore.core.spec import (
    AlreadyExistsError,
    ArtStoreError,
    ByteRange,
    Capabilities,
    CorruptedError,
    InsufficientStorageError,
    LocalPaths,
    Logger,
    ObjectInfo,
    StorageBackend,
    StorageReader,
    UnavailableError,
    Usage,
)
from artstore.plugins.storage_local.listing import walk
from artstore.plugins.storage_local.reading import OpenFile, describe, file_status, open_file, read_cached
from artstore.plugins.storage_local.root import Root
from artstore.plugins.storage_local.upload import Upload
from artstore.plugins.storage_local.workers import Workers

BATCH_SIZE: Final = 1024 * 1024
BATCH_CHUNKS: Final = 1024
"""A chunk of a few bytes takes ten times as many in memory: as many of them are a batch, too."""

CHUNK_SIZE: Final = 256 * 1024
PAGE_SIZE: Final = 256

FULL: Final = frozenset({ENOSPC, EDQUOT, EFBIG})
TAKEN: Final = frozenset({EISDIR, ENOTDIR})

P = ParamSpec("P")
T = TypeVar("T")


class LocalStorage(StorageBackend, LocalPaths):
    """Each object is the plain file ``<root>/<key>``."""

    def __init__(self, root: Root, workers: Workers) -> None:
        self._root = root
        self._workers = workers
        self._capabilities = Capabilities(atomic_put=True, durable_put=True, local_paths=self)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def path(self, key: str) -> Path:
        return Path(self._root.locate(key))

    async def put(
        self, key: str, body: AsyncIterable[bytes], *, size: int | None = None, sha256: str | None = None
    ) -> ObjectInfo:
        path = self._root.locate(key)
        upload = Upload(self._root, size=size, sha256=sha256)
        try:
            last_batch = await self._write_full_batches(key, upload, body)
            digest, status = await self._run(key, upload.commit, last_batch, path)
        except BaseException:
            # Shielded: a second cancellation must not leave the file behind.
            await asyncio.shield(self._run(key, upload.discard))
            raise
        return describe(key, status, sha256=digest)

    @asynccontextmanager
    async def get(
        self, key: str, *, byte_range: ByteRange | None = None
    ) -> AsyncGenerator[StorageReader, None]:
        file = await self._open(key)
        try:
            info = describe(key, file.status)
            start, end = _bounds(byte_range, info.size)
            async with aclosing(self._chunks(key, file.descriptor, start, end)) as chunks:
                yield StorageReader(info=info, chunks=chunks)
        finally:
            self._close(file.descriptor)

    async def head(self, key: str) -> ObjectInfo:
        status = await self._run(key, file_status, self._root.locate(key), key)
        return describe(key, status)

    async def delete(self, key: str) -> None:
        await self._run(key, self._root.remove, self._root.locate(key))

    async def list(self, prefix: str = "", *, after: str | None = None) -> AsyncIterator[ObjectInfo]:
        objects = walk(self._root.path, prefix=prefix, after=after)
        while page := await self._run(prefix, _page, objects):
            for info in page:
                yield info

    async def usage(self) -> Usage:
        status = await self._run("", os.statvfs, self._root.path)
        return Usage(
            used=(status.f_blocks - status.f_bfree) * status.f_frsize,
            total=status.f_blocks * status.f_frsize,
            free=status.f_bavail * status.f_frsize,
        )

    async def _write_full_batches(
        self, key: str, upload: Upload, body: AsyncIterable[bytes]
    ) -> Sequence[bytes]:
        """Write all of ``body`` but its last batch, which is returned.

        One batch is written while the next is gathered; both together are all that is in memory.
        """
        batch, length = list[bytes](), 0
        writing: asyncio.Future[None] | None = None
        async for chunk in body:
            batch.append(chunk)
            length += len(chunk)
            if length >= BATCH_SIZE or len(batch) >= BATCH_CHUNKS:
                if writing is not None:
                    await _result(key, writing)
                writing = self._workers.submit(upload.write, batch)
                batch, length = [], 0
        if writing is not None:
            await _result(key, writing)
        return batch

    async def _open(self, key: str) -> OpenFile:
        opening = self._workers.submit(open_file, self._root.locate(key), key)
        try:
            return await _result(key, asyncio.shield(opening))
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unused)
            raise

    async def _chunks(self, key: str, descriptor: int, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """The bytes from ``start`` up to ``end``: from the page cache at once, else by a worker thread."""
        buffer = memoryview(bytearray(min(CHUNK_SIZE, end - start)))
        while start < end:
            length = min(CHUNK_SIZE, end - start)
            chunk = read_cached(descriptor, buffer[:length], start)
            if not chunk:
                chunk = await self._run(key, os.pread, descriptor, length, start)
            if not chunk:
                raise CorruptedError(f"object {key!r} was cut to {start} bytes while it was being read")
            start += len(chunk)
            yield chunk

    def _close(self, descriptor: int) -> None:
        """Close a file, in a worker thread if that frees the blocks of a removed object.

        A cancelled read may still be running: nobody looks at what it reads.
        """
        if os.fstat(descriptor).st_nlink:
            os.close(descriptor)
        else:
            self._workers.submit(os.close, descriptor)

    async def _run(self, key: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await _result(key, self._workers.submit(work, *args, **kwargs))


@asynccontextmanager
async def open_storage(root: Root, *, threads: int, logger: Logger) -> AsyncGenerator[LocalStorage, None]:
    """The objects of ``root``; on leaving, what its threads are doing is finished.

    Raises:
        ConfigurationError: the root cannot be used.
    """
    workers = Workers(threads)
    try:
        leftovers = await workers.submit(root.open)
        if leftovers:
            logger.info("storage_leftovers_removed", count=leftovers)
        yield LocalStorage(root, workers)
    finally:
        await workers.close()
        root.close()


def _bounds(byte_range: ByteRange | None, size: int) -> tuple[int, int]:
    """The first byte to give and the one after the last."""
    if byte_range is None:
        return 0, size
    part = byte_range.within(size)
    return part.start, part.end + 1


def _page(objects: Iterator[ObjectInfo]) -> tuple[ObjectInfo, ...]:
    return tuple(islice(objects, PAGE_SIZE))


async def _result(key: str, work: Awaitable[T]) -> T:
    """What ``work`` gives, or the domain error for its ``OSError``."""
    try:
        return await work
    except OSError as error:
        raise _domain_error(key, error) from error


def _close_unused(opening: asyncio.Future[OpenFile]) -> None:
    if opening.exception() is None:
        os.close(opening.result().descriptor)


def _domain_error(key: str, error: OSError) -> ArtStoreError:
    """What the caller is told: the key and the reason, never a path of this host."""
    reason = f"{error.strerror}: {key!r}"
    if error.errno in FULL:
        return InsufficientStorageError(f"the storage has no room ({reason}); nothing was stored")
    if error.errno in TAKEN:
        return AlreadyExistsError(f"an object and the path of another cannot have one name ({reason})")
    return UnavailableError(f"the storage failed ({reason})")
