"""How jobs reach the threads that own the connections, and results come back to the event loop.

Counters of the kernel (eventfd) on both ways: a thread that sleeps on a lock, as in ``queue`` and
``concurrent.futures``, costs two to three times the CPU to wake, and every upload does it several times.
"""

import asyncio
import os
import sqlite3
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from artstore.plugins.metadata_sqlite.errors import translated

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], None]


class JobQueue:
    """Hands each job to one of the threads that wait for one, in order."""

    def __init__(self) -> None:
        self._jobs: deque[Job | None] = deque()
        self._held = 0
        self._count = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_CLOEXEC)

    def put(self, job: Job | None) -> None:
        """Wake a thread for ``job``; ``None`` makes the thread that takes it stop."""
        self._jobs.append(job)
        os.eventfd_write(self._count, 1 + self._held)
        self._held = 0

    def hold(self, job: Job) -> None:
        """Queue ``job`` without waking anybody: it runs when the next one is put, just before it."""
        self._jobs.append(job)
        self._held += 1

    def get(self) -> Job | None:
        """Wait for a job, in a thread."""
        os.eventfd_read(self._count)
        return self._jobs.popleft()

    def close(self) -> None:
        """Only when no thread waits any more: the number of the counter may be reused."""
        os.close(self._count)


class Results:
    """Completes futures of the event loop from other threads."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready: deque[tuple[asyncio.Future[Any], object, Exception | None]] = deque()
        self._count = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._loop.add_reader(self._count, self._wake)

    def expect(self) -> asyncio.Future[Any]:
        return self._loop.create_future()

    def succeed(self, result: T, *futures: asyncio.Future[T]) -> None:
        self._ready.extend((future, result, None) for future in futures)
        os.eventfd_write(self._count, 1)

    def fail(self, error: Exception, *futures: asyncio.Future[Any]) -> None:
        """The futures raise the domain error for ``error``, each its own."""
        self._ready.extend((future, None, translated(error)) for future in futures)
        os.eventfd_write(self._count, 1)

    def close(self) -> None:
        """Complete what is ready, and nothing any more."""
        self._loop.remove_reader(self._count)
        os.close(self._count)
        self._complete()

    def _wake(self) -> None:
        os.eventfd_read(self._count)
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
