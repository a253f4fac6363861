"""How jobs reach the threads that own the connections, and results come back to the event loop.

Counters of the kernel (eventfd) on both ways: a thread that sleeps on a lock, as in ``queue`` and
``concurrent.futures``, costs two to three times the CPU to wake, and every upload does it several times.
"""

import asyncio
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from artstore.plugins.metadata_sqlite.errors import translated

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], None]


class JobQueue:
    """Hands each job to one of the threads that wait for one, in order.

    Each thread has a bell of its own, and only one that sleeps is rung for: with a counter that all wait
    on, every job would wake all of them. The last to fall asleep is the first to be woken, since what it
    needs is still in the caches of its processor and its connection.
    """

    def __init__(self) -> None:
        self._jobs: deque[Job | None] = deque()
        self._asleep: list[int] = []

    def put(self, job: Job | None) -> None:
        """Wake a thread for ``job``; ``None`` makes the thread that takes it stop."""
        self._jobs.append(job)
        self.ring()

    def hold(self, job: Job) -> None:
        """Queue ``job`` without waking anybody: it runs, at the latest, before the next one that is put."""
        self._jobs.append(job)

    @property
    def waiting(self) -> int:
        """Jobs that no thread has taken yet."""
        return len(self._jobs)

    def ring(self) -> None:
        """Wake one thread more."""
        try:
            bell = self._asleep.pop()
        except IndexError:  # all are at work, and look for more before they sleep
            return
        os.eventfd_write(bell, 1)

    @contextmanager
    def taking(self) -> Generator[Callable[[], Job | None], None, None]:
        """What waits for a job, for the calling thread alone."""
        bell = os.eventfd(0, os.EFD_CLOEXEC)
        try:
            yield lambda: self._take(bell)
        finally:
            os.close(bell)

    def _take(self, bell: int) -> Job | None:
        while True:
            try:
                return self._jobs.popleft()
            except IndexError:
                self._sleep(bell)

    def _sleep(self, bell: int) -> None:
        self._asleep.append(bell)
        if self._jobs:  # put before there was anybody to ring for
            with suppress(ValueError):  # taken off by now: it is about to ring
                self._asleep.remove(bell)
                return
        os.eventfd_read(bell)


class Results:
    """Completes futures of the event loop from other threads."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready: deque[tuple[asyncio.Future[Any], object, Exception | None]] = deque()
        self._is_loop_woken = False
        self._count = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._loop.add_reader(self._count, self._wake)

    def expect(self) -> asyncio.Future[Any]:
        return self._loop.create_future()

    def succeed(self, result: T, *futures: asyncio.Future[T]) -> None:
        self._ready.extend((future, result, None) for future in futures)
        self._wake_loop()

    def fail(self, error: Exception, *futures: asyncio.Future[Any]) -> None:
        """The futures raise the domain error for ``error``, each its own."""
        self._ready.extend((future, None, translated(error)) for future in futures)
        self._wake_loop()

    def close(self) -> None:
        """Complete what is ready, and nothing any more."""
        self._loop.remove_reader(self._count)
        os.close(self._count)
        self._complete()

    def _wake_loop(self) -> None:
        # First append, then look, while the loop does it the other way round: nothing is left lying.
        if not self._is_loop_woken:
            self._is_loop_woken = True
            os.eventfd_write(self._count, 1)

    def _wake(self) -> None:
        os.eventfd_read(self._count)
        self._is_loop_woken = False
        self._complete()

    def _complete(self) -> None:
        while self._ready:
            future, result, error = self._ready.popleft()
            if future.done():  # whoever waited was cancelled
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
