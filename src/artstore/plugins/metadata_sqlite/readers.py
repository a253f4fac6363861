"""The reading connections: a thread each, so that a reader waits neither for the writer nor for others."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from typing import Final, TypeVar, cast

from artstore.core.spec import UnavailableError
from artstore.plugins.metadata_sqlite.handover import JobQueue, Results
from artstore.plugins.metadata_sqlite.worker import Connect, Worker

PATIENCE: Final = 0.001
"""Seconds that a statement waits for the thread at work before another is woken for it."""

T = TypeVar("T")


class Readers:
    """Runs statements that only read, each on whichever connection is free first.

    Every statement sees the last committed state as it begins. Those that come in one turn of the event
    loop are left to one thread as long as they are quick: looking up a row takes less than waking another.
    """

    def __init__(self, jobs: JobQueue, results: Results) -> None:
        self._jobs = jobs
        self._results = results
        self._closed = False
        self._is_ringing = False

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise UnavailableError("the database is closed")
        result = self._results.expect()

        def job(connection: sqlite3.Connection) -> None:
            if result.cancelled():  # nobody waits any more
                return
            try:
                self._results.succeed(work(connection), result)
            except Exception as error:
                self._results.fail(error, result)

        self._jobs.hold(job)
        if not self._is_ringing:
            self._is_ringing = True
            asyncio.get_running_loop().call_soon(self._ring)
        return cast("T", await result)

    def close(self) -> None:
        self._closed = True

    def _ring(self) -> None:
        self._is_ringing = False
        self._jobs.ring()
        if self._jobs.waiting > 1:
            asyncio.get_running_loop().call_later(PATIENCE, self._ring_again)

    def _ring_again(self) -> None:
        if self._jobs.waiting:
            self._ring()


@asynccontextmanager
async def open_readers(connect: Connect, results: Results, *, count: int) -> AsyncGenerator[Readers, None]:
    async with AsyncExitStack() as stack:
        jobs = JobQueue()
        for number in range(1, count + 1):
            await stack.enter_async_context(Worker(f"sqlite-reader-{number}", connect, jobs, results))
        readers = stack.enter_context(closing(Readers(jobs, results)))
        yield readers
