"""A thread that owns one connection."""

import asyncio
import sqlite3
from collections.abc import Callable
from threading import Thread
from typing import Self

from artstore.plugins.metadata_sqlite.handover import JobQueue, Results

Connect = Callable[[], sqlite3.Connection]


class Worker:
    """Runs the jobs of a queue one after another on a connection that no other thread touches."""

    def __init__(self, name: str, connect: Connect, jobs: JobQueue, results: Results) -> None:
        self._connect = connect
        self._jobs = jobs
        self._results = results
        self._connected = results.expect()
        self._thread = Thread(target=self._work, name=name, daemon=True)

    async def __aenter__(self) -> Self:
        """Open the connection; raises what opening it raises."""
        self._thread.start()
        try:
            await self._connected
        except asyncio.CancelledError:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """Let every job queued so far run, then close the connection."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        try:
            connection = self._connect()
        except Exception as error:
            self._results.fail(error, self._connected)
            return
        self._results.succeed(None, self._connected)
        with self._jobs.taking() as take:
            while (job := take()) is not None:
                job(connection)
        self._jobs.put(None)  # the others that share the queue end too
        connection.close()
