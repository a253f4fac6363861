"""The durable spool: every record is on this process's disk before anybody relies on it."""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Set
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from artstore.core.audit.record import AuditRecord, Happening
from artstore.core.audit.spool_files import Adopted, Batch, Place, SpoolFiles
from artstore.core.audit.spool_thread import SpoolThread
from artstore.core.logging import get_logger
from artstore.core.spec import ConfigurationError, UnavailableError

LINGER: Final = 0.2
"""Seconds that records nobody waits for may be in memory, so that many share one sync."""

RETRY_INTERVAL: Final = 1.0
"""Seconds after which writing is tried again when the disk failed."""

LONGEST_WAIT: Final = 60.0
"""Seconds after which records wait no more for others that would share their way into the log."""

MAX_IN_MEMORY: Final = 20_000
"""Records, while the disk fails."""

_BATCH_SIZE: Final = 128 * 1024
_CHANGE: Final = b'"change":'
_log: Final = get_logger("audit")


@dataclass(frozen=True, slots=True)
class _Group:
    """Records that were written together, when, and how many there were in all with them."""

    total: int
    at: float


class Spool:
    """Appends records, many with one sync, and gives them out in order until they are acknowledged."""

    def __init__(self, files: SpoolFiles, *, source: str, limit: int, adopted: Adopted) -> None:
        self.source: Final = source
        self._files = files
        self._limit = limit
        self._thread = SpoolThread()
        self._pending: list[bytes] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._sequence = 0
        self._total = self._shipped = 0
        self._bytes = adopted.size
        self._end: Place | None = None
        self._start = Place()
        self._groups: deque[_Group] = deque()
        self._wake = asyncio.Event()
        self._written = asyncio.Event()
        self._hurry = asyncio.Event()
        self._progress = asyncio.Condition()
        self._is_waking = False
        self._failure: str | None = None
        if adopted.lines:
            self._total = adopted.lines
            self._groups.append(_Group(adopted.lines, time.monotonic()))
            self._written.set()

    @property
    def depth(self) -> int:
        """Records that are not shipped yet."""
        return self._total - self._shipped

    def oldest_age(self) -> float:
        """Seconds for which the oldest of them has waited."""
        return time.monotonic() - self._groups[0].at if self._groups else 0.0

    def require_room(self) -> None:
        """Refuse what must leave a record while none can be kept.

        Raises:
            UnavailableError: the spool is full, or its disk fails.
        """
        if self._failure is not None:
            raise UnavailableError("the audit trail cannot be written: nothing may be changed now")
        if self._bytes >= self._limit:
            raise UnavailableError(
                "the audit spool is full, since admin takes no records: change nothing now"
            )

    @property
    def has_room(self) -> bool:
        return self._failure is None and self._bytes < self._limit

    def append(self, happening: Happening) -> bool:
        """Add a record that nobody waits for; whether there is room for it."""
        if not self.has_room or len(self._pending) >= MAX_IN_MEMORY:
            return False
        self._add(happening)
        if not self._is_waking:
            self._is_waking = True
            asyncio.get_running_loop().call_later(LINGER, self._wake.set)
        return True

    def append_synced(self, happening: Happening) -> asyncio.Future[None]:
        """Add a record; a future of its being on stable storage.

        It is synced at once, together with all else that is there, and finds room always: what it tells of
        has been done.
        """
        self._add(happening)
        self._wake.set()
        synced: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(synced)
        return synced

    def _add(self, happening: Happening) -> None:
        self._sequence += 1
        self._total += 1
        line = happening.recorded(source=self.source, sequence=self._sequence)
        self._pending.append(line)
        self._bytes += len(line) + 1
        self._groups.append(_Group(self._total, time.monotonic()))

    async def next_batch(self) -> Batch:
        """The oldest records, once there are any on the disk."""
        while True:
            await self._written.wait()
            self._written.clear()
            try:
                batch = await self._thread.run(
                    lambda: self._files.read(self._start, limit=_BATCH_SIZE, end=self._end)
                )
            except OSError:
                self._written.set()  # what cannot be read now is there all the same
                raise
            if batch.lines:
                self._written.set()
                return batch

    async def changes(self) -> Set[tuple[str, str]]:
        """Id and outcome of every change whose record is in the files, be it shipped or not."""
        return await self._thread.run(lambda: frozenset(_changes(self._files.lines())))

    async def acknowledge(self, batch: Batch) -> None:
        """``batch`` is in the log: it need not be kept here."""
        self._start = batch.end
        self._shipped += len(batch.lines)
        while self._groups and self._groups[0].total <= self._shipped:
            self._groups.popleft()
        self._bytes -= sum(len(line) + 1 for line in batch.lines)
        await self._thread.run(lambda: self._files.discard(batch.end))
        async with self._progress:
            self._progress.notify_all()

    async def linger(self, seconds: float) -> None:
        """Wait for more, unless somebody waits for what is there, or more comes than goes."""
        if self.oldest_age() > LONGEST_WAIT:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            return

    async def shipped(self) -> None:
        """Wait until all that has been appended so far is acknowledged."""
        target = self._total
        self._hurry.set()
        self._wake.set()
        async with self._progress:
            await self._progress.wait_for(lambda: self._shipped >= target)
        self._hurry.clear()

    async def write(self) -> None:
        """Put on the disk what is appended, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._is_waking = False
            await self._write_pending()
            if self._failure is not None:
                await asyncio.sleep(RETRY_INTERVAL)
                self._wake.set()

    async def close(self) -> None:
        """Write what is left, and let go of the directory."""
        await self._write_pending()
        await self._thread.run(self._files.close)
        await self._thread.close()

    async def _write_pending(self) -> None:
        lines, self._pending = self._pending, []
        waiters, self._waiters = self._waiters, []
        if not lines:
            return
        try:
            self._end = await self._thread.run(lambda: self._files.append(lines))
        except OSError as error:
            self._pending[:0] = lines
            self._note_failure(error.strerror or str(error))
            for waiter in _still_waiting(waiters):
                waiter.set_exception(
                    UnavailableError("it may have been done, but the audit trail could not be written")
                )
        else:
            self._failure = None
            for waiter in _still_waiting(waiters):
                waiter.set_result(None)
            self._written.set()

    def _note_failure(self, reason: str) -> None:
        if self._failure != reason:
            _log.error("audit_spool_failed", directory=str(self._files.directory), reason=reason)
        self._failure = reason


@asynccontextmanager
async def open_spool(directory: Path, *, role: str, limit: int) -> AsyncGenerator[Spool, None]:
    """A spool of this process's own below ``directory``, with what processes of the past have left there.

    Raises:
        ConfigurationError: it cannot be written there.
    """
    source = f"{role}-{secrets.token_hex(8)}"
    try:
        files, adopted = await asyncio.to_thread(_prepare, directory, role, source)
    except OSError as error:
        raise ConfigurationError(
            f"the audit spool {directory} cannot be used: {error.strerror}; see `spool` in [audit]"
        ) from error
    spool = Spool(files, source=source, limit=limit, adopted=adopted)
    writing = asyncio.create_task(spool.write())
    try:
        yield spool
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await spool.close()


def _prepare(directory: Path, role: str, source: str) -> tuple[SpoolFiles, Adopted]:
    """One process at a time, so that none takes the new directory of another for one of the past."""
    with SpoolFiles(directory).waiting_for_it():
        files = SpoolFiles(directory / source)
        files.take()
        others = sorted(path for path in directory.glob(f"{role}-*") if path.name != source)
        adopted = [files.adopt(other) for other in others]
        return files, Adopted(sum(each.lines for each in adopted), sum(each.size for each in adopted))


def _changes(lines: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if _CHANGE in line:
            with suppress(ValidationError):  # a disk may have damaged it
                record = AuditRecord.model_validate_json(line)
                if record.change is not None:
                    yield record.change, record.outcome


def _still_waiting(waiters: Iterable[asyncio.Future[None]]) -> Iterator[asyncio.Future[None]]:
    """Without those whose requests were cancelled."""
    return (waiter for waiter in waiters if not waiter.done())
