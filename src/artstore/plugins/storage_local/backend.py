"""The ``local`` storage back end: coroutines that hand blocking work to the back end's own threads."""

import asyncio
import os
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager
from errno import EISDIR, ENOTDIR
from itertools import islice
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from artstore.core.spec import (
    AlreadyExistsError,
    ArtStoreError,
    AtomicBatch,
    ByteRange,
    Capabilities,
    ContentTooLargeError,
    CorruptedError,
    ExclusiveUse,
    InsufficientStorageError,
    LocalPaths,
    Logger,
    NotFoundError,
    ObjectInfo,
    PluginContext,
    StorageBackend,
    StorageReader,
    Stranger,
    Strangers,
    UnavailableError,
    Usage,
)
from artstore.plugins.storage_local.beneath import kept, open_beneath
from artstore.plugins.storage_local.commit_log import LARGEST_BATCH, CommitLog
from artstore.plugins.storage_local.files import FULL
from artstore.plugins.storage_local.listing import walk
from artstore.plugins.storage_local.openat2 import open_cached
from artstore.plugins.storage_local.reading import (
    OPEN_FLAGS,
    OpenFile,
    describe,
    file_status,
    open_file,
    read_cached,
)
from artstore.plugins.storage_local.replay import Replay
from artstore.plugins.storage_local.root import Root
from artstore.plugins.storage_local.segment import Batch, Step
from artstore.plugins.storage_local.strangers import find_strangers
from artstore.plugins.storage_local.upload import Upload
from artstore.plugins.storage_local.workers import Workers

BATCH_SIZE: Final = 1024 * 1024
BATCH_CHUNKS: Final = 1024
"""A chunk of a few bytes takes ten times as many in memory: as many of them are a batch, too."""

CHUNK_SIZE: Final = 256 * 1024
PAGE_SIZE: Final = 256

TAKEN: Final = frozenset({EISDIR, ENOTDIR})

P = ParamSpec("P")
T = TypeVar("T")


class LocalStorage(StorageBackend, LocalPaths, AtomicBatch, ExclusiveUse, Strangers):
    """Each object is the plain file ``<root>/<key>``, or on its way there from the commit log."""

    def __init__(self, root: Root, workers: Workers, log: CommitLog | None = None, *, logger: Logger) -> None:
        self._root = root
        self._workers = workers
        self._log = log
        self._logger = logger
        self._capabilities = Capabilities(
            atomic_put=True,
            durable_put=True,
            local_paths=self,
            atomic_batch=None if log is None else self,
            exclusive_use=self,
            strangers=self,
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def path(self, key: str) -> Path:
        return Path(self._root.locate(key))

    def open(self, key: str) -> int:
        return open_beneath(self._root.path, self._root.locate(key), OPEN_FLAGS)

    def open_cached(self, key: str) -> int | None:
        top = self._root.path
        return open_cached(top, self._root.locate(key).removeprefix(top).strip("/"))

    async def is_certain(self) -> bool:
        return await self._run("", self._root.is_locked)

    async def take_over(self, may_change: Callable[[str], bool]) -> None:
        leftovers = await self._run("", self._root.take_over, may_change)
        if leftovers:
            self._logger.info("storage_leftovers_removed", count=leftovers)
        replay = Replay(self._root, self._logger)
        await self._run("", replay.run)
        if replay.stuck:
            await self._adopt(replay.stuck)
        await self._run("", replay.remove_log)
        if replay.count:
            self._logger.info("commit_log_replayed", objects=replay.count)

    async def _adopt(self, stuck: Batch) -> None:
        if self._log is None:
            keys = ", ".join(step.key for step in stuck)
            raise UnavailableError(f"something else lies where acknowledged objects belong: {keys}")
        await _result("", self._log.adopt(stuck))

    async def hand_over(self) -> None:
        if self._log is not None:
            await _result("", self._log.empty())

    async def put(
        self, key: str, body: AsyncIterable[bytes], *, size: int | None = None, sha256: str | None = None
    ) -> ObjectInfo:
        path = self._root.locate(key)
        if self._log is not None and self._log.holds(key):
            await _result(key, self._log.empty(key))  # or the next start would put the older object back
        upload = Upload(self._root, size=size, sha256=sha256)
        try:
            last_batch = await self._write_full_batches(key, upload, body)
            digest, status = await self._run(key, upload.commit, last_batch, path)
        except BaseException:
            # Shielded: a second cancellation must not leave the file behind.
            await asyncio.shield(self._run(key, upload.discard))
            raise
        return describe(key, status.st_size, status.st_mtime_ns, sha256=digest)

    @property
    def max_batch_size(self) -> int:
        return LARGEST_BATCH

    async def put_batch(self, objects: Mapping[str, bytes]) -> Sequence[ObjectInfo]:
        assert self._log is not None, "without a log there is no such ability"
        if sum(map(len, objects.values())) > LARGEST_BATCH:
            raise ContentTooLargeError(limit=LARGEST_BATCH, what="a batch")
        now = time.time_ns()
        batch = [Step(key, content, now) for key, content in objects.items()]
        for step in batch:
            self._root.locate(step.key)  # refuses what is no key
        await _result(", ".join(objects), self._log.commit(batch))
        return [describe(key, len(content), now) for key, content in objects.items()]

    @asynccontextmanager
    async def get(
        self, key: str, *, byte_range: ByteRange | None = None
    ) -> AsyncGenerator[StorageReader, None]:
        if (step := self._pending(key)) is not None:
            content = _content(step)
            start, end = _bounds(byte_range, len(content))
            async with aclosing(_once(content[start:end])) as chunks:
                yield StorageReader(info=describe(key, len(content), step.modified_ns), chunks=chunks)
            return
        file = await self._open(key)
        try:
            info = describe(key, file.status.st_size, file.status.st_mtime_ns)
            start, end = _bounds(byte_range, info.size)
            async with aclosing(self._chunks(key, file.descriptor, start, end)) as chunks:
                yield StorageReader(info=info, chunks=chunks)
        finally:
            self._close(file.descriptor)

    async def head(self, key: str) -> ObjectInfo:
        path = self._root.locate(key)
        if (step := self._pending(key)) is not None:
            return describe(key, len(_content(step)), step.modified_ns)
        status = await self._run(key, file_status, self._root.path, path, key)
        return describe(key, status.st_size, status.st_mtime_ns)

    async def delete(self, key: str) -> None:
        if self._log is not None and self._log.holds(key):
            await _result(key, self._log.commit([Step(key, None, 0)]))
            return
        await self._run(key, self._root.remove, self._root.locate(key))

    async def list(self, prefix: str = "", *, after: str | None = None) -> AsyncIterator[ObjectInfo]:
        if self._log is not None:
            await _result(prefix, self._log.write_out())
        objects = walk(self._root.path, prefix=prefix, after=after)
        while page := await self._run(prefix, _page, objects):
            for info in page:
                yield info

    async def list_strangers(self) -> AsyncIterator[Stranger]:
        strangers = find_strangers(self._root.path)
        while page := await self._run("", _page, strangers):
            for stranger in page:
                yield stranger

    async def usage(self) -> Usage:
        status = await self._run("", os.statvfs, self._root.path)
        return Usage(
            used=(status.f_blocks - status.f_bfree) * status.f_frsize,
            total=status.f_blocks * status.f_frsize,
            free=status.f_bavail * status.f_frsize,
        )

    def _pending(self, key: str) -> Step | None:
        if self._log is None:
            return None
        self._log.require_certain(key)
        return self._log.pending.get(key)

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
        opening = self._workers.submit(open_file, self._root.path, self._root.locate(key), key)
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
async def open_storage(
    root: Root, *, threads: int, context: PluginContext, log_size: int = 0
) -> AsyncGenerator[LocalStorage, None]:
    """The objects of ``root``; on leaving, what its threads are doing is finished.

    Small objects go through a commit log of twice ``log_size`` bytes, unless that is 0.

    Raises:
        ConfigurationError: the root cannot be used.
    """
    workers = Workers(threads)
    log: CommitLog | None = None
    try:
        await workers.submit(root.open)
        log = CommitLog(root, size=log_size, context=context) if log_size else None
        yield LocalStorage(root, workers, log, logger=context.logger)
    finally:
        if log is not None:
            await workers.submit(log.close)
        await workers.close()
        root.close()


def _bounds(byte_range: ByteRange | None, size: int) -> tuple[int, int]:
    """The first byte to give and the one after the last."""
    if byte_range is None:
        return 0, size
    part = byte_range.within(size)
    return part.start, part.end + 1


def _content(step: Step) -> bytes:
    """The bytes of an object that is not in its file yet.

    Raises:
        NotFoundError: it was removed.
    """
    if step.content is None:
        raise NotFoundError(f"there is no object {step.key!r}")
    return step.content


async def _once(content: bytes) -> AsyncGenerator[bytes, None]:
    if content:
        yield content


def _page(found: Iterator[T]) -> tuple[T, ...]:
    with kept():
        return tuple(islice(found, PAGE_SIZE))


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
    """What the caller is told: the reason, never a path of this host, nor a key, which names people."""
    if error.errno in FULL:
        return InsufficientStorageError(f"the storage has no room ({error.strerror}); nothing was stored")
    if error.errno in TAKEN:
        return AlreadyExistsError(f"an object and the path of another cannot have one name ({key!r})")
    return UnavailableError(f"the storage failed ({error.strerror})")
