"""The commit log: one sync makes every waiting batch durable, and their plain files are written afterwards.

Two segments take turns. While one is appended to, the file system is synced for the other, whose batches
are all in plain files by then, and it is cleared.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from errno import ENOSPC
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, NamedTuple

from artstore.core.spec import ArtStoreError, InsufficientStorageError, PluginContext, UnavailableError
from artstore.plugins.storage_local import beneath
from artstore.plugins.storage_local.files import FULL
from artstore.plugins.storage_local.root import Root
from artstore.plugins.storage_local.segment import Batch, Segment, Step, UntouchedError
from artstore.plugins.storage_local.unwritten import Unwritten

LARGEST_BATCH: Final = 256 * 1024
"""Bytes of the objects of one batch."""
LAG: Final = 2.0
"""Seconds after which what is in the log is put on stable storage as plain files."""
RETRY_INTERVAL: Final = 1.0
"""Seconds between two attempts to write files that did not fit."""


class _Settled(asyncio.Future[None]):
    """That it is known what became of a batch: who gives up must find that, not what will become of it.

    A task that is cancelled while it waits for what cannot be cancelled is so when that is there. To shield
    a future costs another one, and a round of the event loop.
    """

    def cancel(self, msg: object = None) -> bool:
        return False


_Outcome = tuple[asyncio.Future[None], BaseException | None]


class _Waiting(NamedTuple):
    batch: Batch
    size: int
    done: asyncio.Future[None]


class _Question(NamedTuple):
    """Something to do once all that came before it is in plain files."""

    act: Callable[[], None]
    done: asyncio.Future[None]


class CommitLog:
    """Acknowledges small objects. What it holds counts before what the tree holds.

    One thread appends, syncs, acknowledges and writes the plain files. ``pending`` has what is acknowledged
    and not in its file yet.
    """

    def __init__(self, root: Root, *, size: int, context: PluginContext) -> None:
        self.pending: dict[str, Step] = {}
        self._loop = asyncio.get_running_loop()
        self._root = root
        self._logger = context.logger
        self._show_unwritten = context.metrics.gauge(
            "commit_log_objects", "Objects that are acknowledged and not in a plain file yet."
        )
        self._show_unwritten(0)
        self._size = size
        self._queue: SimpleQueue[_Waiting | _Question | None] = SimpleQueue()
        self._segments: list[Segment] = []
        self._generation = 0
        self._began = 0.0
        self._logged: set[str] = set()
        self._retiring: frozenset[str] = frozenset()
        self._unwritten = Unwritten(root, self.pending, limit=size // 4, logger=context.logger)
        self._failure: OSError | None = None
        self._in_doubt: frozenset[str] = frozenset()
        self._syncing = ThreadPoolExecutor(1, thread_name_prefix="storage-sync")
        self._checkpoint: Future[None] | None = None
        self._thread = Thread(target=self._run, name="storage-commit-log", daemon=True)
        self._thread.start()

    async def commit(self, batch: Batch) -> None:
        """Make ``batch`` durable, all or nothing.

        Raises:
            InsufficientStorageError: there is no room; nothing was stored.
            UnavailableError: the disk failed; nothing more is taken before the next start.
            OSError: the disk failed just now.
        """
        done = _Settled(loop=self._loop)
        self._queue.put(_Waiting(batch, sum(len(step.content or b"") for step in batch), done))
        await done

    def holds(self, key: str) -> bool:
        """Whether a start after a crash would put or remove ``key``."""
        return key in self._logged or key in self._retiring

    def require_certain(self, key: str) -> None:
        """Refuse to say what ``key`` holds when a sync failed over it: the next start may find it logged.

        Whoever took it for absent now would undo what that start completes.

        Raises:
            UnavailableError: nobody can say before.
        """
        if key in self._in_doubt:
            raise UnavailableError("the commit log failed over this object: restart this element")

    async def write_out(self) -> None:
        """Wait until all that is acknowledged by now is in plain files."""
        await self._ask(self._require_written)

    async def empty(self, key: str | None = None) -> None:
        """Wait until the log holds only what something is in the way of, and what is acknowledged later.

        Raises:
            OSError: that is so of ``key``, or the disk failed.
        """
        await self._ask(partial(self._retire_all, key))

    async def adopt(self, steps: Batch) -> None:
        """Hold what an earlier process has acknowledged and something is in the way of."""
        await self._ask(partial(self._append, [steps]))

    def close(self) -> None:
        """Finish every commit, write every file and leave no log. Blocks."""
        self._queue.put(None)
        self._thread.join()
        self._syncing.shutdown()
        for segment in self._segments:
            segment.close()
            if not self._unwritten.steps and self._failure is None:
                # Gone already when somebody else took this root over, and with it what was in the log.
                with suppress(FileNotFoundError):
                    self._root.files.remove(segment.path)

    async def _ask(self, act: Callable[[], None]) -> None:
        done: asyncio.Future[None] = self._loop.create_future()
        self._queue.put(_Question(act, done))
        await done

    # All that follows runs in the thread.

    def _run(self) -> None:
        is_open = True
        while is_open:
            batches, question, is_open = self._next()
            with beneath.kept():
                if batches:
                    self._commit(batches)
                self._write_files()
            if question is not None:
                self._settle([(question.done, _error_of(question.act))])
            if self._is_due():
                with suppress(OSError):
                    self._retire_active()
        with suppress(OSError):
            self._retire_all()

    def _next(self) -> tuple[list[_Waiting], _Question | None, bool]:
        """Whatever waits, up to half a segment or a question; False at the end."""
        batches: list[_Waiting] = []
        size = 0
        try:
            item = self._queue.get(timeout=self._patience())
            while isinstance(item, _Waiting):
                batches.append(item)
                size += item.size
                if size > self._size // 2:
                    return batches, None, True
                item = self._queue.get_nowait()
        except Empty:
            return batches, None, True
        return batches, item, item is not None

    def _patience(self) -> float | None:
        if self._unwritten.steps:
            return RETRY_INTERVAL
        return LAG if self._logged else None

    def _is_due(self) -> bool:
        is_time = time.monotonic() - self._began >= LAG and self._is_idle()
        return is_time and bool(self._logged - self._unwritten.keys)  # last: it compares thousands of keys

    def _commit(self, waiting: Sequence[_Waiting]) -> None:
        """Each that could be put in its place, all of them together; the others are refused one by one."""
        writable: set[str] = set()
        refusals = [_error_of(partial(self._require_place, each.batch, writable)) for each in waiting]
        placeable = [each.batch for each, refusal in zip(waiting, refusals, strict=True) if refusal is None]
        error = _error_of(partial(self._append, placeable)) if placeable else None
        self._settle([(each.done, refusal or error) for each, refusal in zip(waiting, refusals, strict=True)])

    def _require_place(self, batch: Batch, writable: set[str]) -> None:
        if self._failure is not None:
            raise UnavailableError(f"the commit log failed ({self._failure.strerror}): restart this element")
        if (failure := self._unwritten.failure) is not None:
            refusal = InsufficientStorageError if failure.errno in FULL else UnavailableError
            raise refusal(
                f"what was stored before cannot be put in its place ({failure.strerror}): nothing was stored"
            )
        for step in batch:
            self._unwritten.require_free(step.key)
        keys = (step.key for step in batch if step.content is not None)
        self._root.require_places(keys, writable=writable)

    def _append(self, batches: Sequence[Batch]) -> None:
        self._root.require_right(*(step.key for batch in batches for step in batch))
        active = self._active()
        records = active.encode(batches)
        if not active.has_room(records):
            self._retire_active()
            active = self._active()
            records = active.encode(batches)
        self._put(active, records, [step for batch in batches for step in batch])
        if not self._logged:
            self._began = time.monotonic()
        for batch in batches:
            self._unwritten.add(batch)
            for step in batch:
                self._logged.add(step.key)
                self.pending[step.key] = step
        self._show_unwritten(len(self._unwritten.steps))

    def _put(self, segment: Segment, records: bytes, steps: Sequence[Step]) -> None:
        segment.write_ahead(records)
        try:
            segment.append(records)
        except UntouchedError:
            raise
        except OSError as error:
            self._in_doubt = frozenset(step.key for step in steps)
            self._fail(error)
            raise

    def _active(self) -> Segment:
        if not self._segments:
            paths = self._root.make_log_directory()
            self._segments = self._made(paths)
            self._carry_over(self._segments[0])
        return self._segments[0]

    def _made(self, paths: Sequence[str]) -> list[Segment]:
        """New segments at ``paths``, all or none."""
        files, segments = self._root.files, list[Segment]()
        try:
            for path in paths:
                segments.append(Segment(files, path, size=self._size))
            files.sync_directory(str(Path(paths[0]).parent))
        except OSError:
            for segment in segments:
                segment.close()
                self._root.discard(segment.path)
            raise
        return segments

    def _write_files(self) -> None:
        if self._unwritten.steps:
            self._unwritten.write()
            self._show_unwritten(len(self._unwritten.steps))

    def _require_written(self) -> None:
        if self._unwritten.failure is not None:
            raise OSError(ENOSPC, "what was acknowledged is not in place yet")

    def _retire_all(self, key: str | None = None) -> None:
        self._wait_for_checkpoint()
        if self._logged:
            self._retire_active()
            self._wait_for_checkpoint()
        if key is not None:
            self._unwritten.require_free(key)

    def _retire_active(self) -> None:
        """Append to the other segment from now on. This one is cleared when its files are synced.

        Raises:
            OSError: the disk failed, now or in the last checkpoint, or what was acknowledged does not fit.
        """
        self._wait_for_checkpoint()
        if self._failure is not None:
            raise self._failure
        self._require_written()
        retired, other = self._segments
        self._carry_over(other)
        self._segments = [other, retired]
        self._retiring, self._logged = frozenset(self._logged), set(self._unwritten.keys)
        self._checkpoint = self._syncing.submit(self._clear, retired)

    def _carry_over(self, segment: Segment) -> None:
        """Begin ``segment`` with what something is in the way of: nothing else holds it."""
        self._generation += 1
        segment.begin(self._generation)
        if steps := self._unwritten.steps:
            self._put(segment, segment.encode([steps]), steps)

    def _clear(self, segment: Segment) -> None:
        self._root.files.sync_file_system(self._root.path)
        try:
            # Or that was another file system, and this segment is all that is on stable storage.
            self._root.require_present()
        except OSError as error:
            raise UntouchedError(*error.args) from error
        segment.clear()
        self._retiring = frozenset()

    def _is_idle(self) -> bool:
        return self._failure is None and (self._checkpoint is None or self._checkpoint.done())

    def _wait_for_checkpoint(self) -> None:
        if self._checkpoint is not None:
            checkpoint, self._checkpoint = self._checkpoint, None
            try:
                checkpoint.result()
            except UntouchedError:
                _, retired = self._segments
                self._checkpoint = self._syncing.submit(self._clear, retired)
                raise
            except OSError as error:
                self._fail(error)
                raise

    def _fail(self, error: OSError) -> None:
        """What a failed sync left on the disk is unknown, and a second one would not tell: take no more."""
        self._failure = error
        self._logger.error("commit_log_failed", reason=error.strerror)

    def _settle(self, outcomes: Sequence[_Outcome]) -> None:
        self._loop.call_soon_threadsafe(_deliver, outcomes)


def _error_of(act: Callable[[], None]) -> BaseException | None:
    try:
        act()
    except (OSError, ArtStoreError) as error:
        return error
    return None


def _deliver(outcomes: Sequence[_Outcome]) -> None:
    for done, error in outcomes:
        if done.cancelled():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
