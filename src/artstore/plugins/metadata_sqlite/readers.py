"""The reading connections: a thread each, so that a reader waits neither for the writer nor for others."""

import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from typing import TypeVar, cast

from artstore.core.spec import UnavailableError
from artstore.plugins.metadata_sqlite.handover import JobQueue, Results
from artstore.plugins.metadata_sqlite.worker import Connect, Worker

T = TypeVar("T")


class Readers:
    """Runs statements that only read, each on whichever connection is free first.

    Every statement sees the last committed state as it begins.
    """

    def __init__(self, jobs: JobQueue, results: Results) -> None:
        self._jobs = jobs
        self._results = results
        self._closed = False

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

        self._jobs.put(job)
        return cast("T", await result)

    def close(self) -> None:
        self._closed = True


@asynccontextmanager
async def open_readers(connect: Connect, results: Results, *, count: int) -> AsyncGenerator[Readers, None]:
    async with AsyncExitStack() as stack:
        jobs = stack.enter_context(closing(JobQueue()))
        for number in range(1, count + 1):
            await stack.enter_async_context(Worker(f"sqlite-reader-{number}", connect, jobs, results))
        readers = stack.enter_context(closing(Readers(jobs, results)))
        yield readers
