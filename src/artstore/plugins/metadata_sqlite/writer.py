"""The one writing connection: transactions take turns, and those that meet share a COMMIT."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from typing import Final, TypeVar, cast

from artstore.core.spec import UnavailableError
from artstore.plugins.metadata_sqlite.group import Group, Member
from artstore.plugins.metadata_sqlite.handover import Job, JobQueue, Results
from artstore.plugins.metadata_sqlite.worker import Connect, Worker

# Bounds of a group, in transactions and seconds: a stream of writers cannot put off acknowledgement.
GROUP_SIZE: Final = 64
GROUP_DURATION: Final = 0.02

T = TypeVar("T")


class Writer:
    """Admits transactions in the order they come, one at a time, and decides when to commit.

    Leaving a transaction commits at once when nobody waits for a turn. Otherwise the next one joins
    the group, and the last of them commits for all.
    """

    def __init__(self, jobs: JobQueue, results: Results) -> None:
        self._jobs = jobs
        self._results = results
        self._group = Group(results)
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._left = 0
        self._began = 0.0
        self._closed = False

    async def enter(self) -> None:
        """Wait for the turn."""
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
            self._commit_if_deserted()
        if not self._left:
            self._began = asyncio.get_running_loop().time()

    async def run(self, member: Member, work: Callable[[sqlite3.Connection], T]) -> T:
        self._refuse_if_closed()
        result = self._results.expect()
        self._jobs.put(partial(self._group.run, member=member, work=work, result=result))
        return cast("T", await result)

    async def keep(self, member: Member) -> None:
        """End the turn; return when the transaction is committed."""
        acknowledged = self._results.expect()
        self._leave(partial(self._group.keep, member=member, acknowledged=acknowledged))
        await acknowledged

    def undo(self, member: Member) -> None:
        """End the turn; nothing of the transaction stays."""
        with suppress(UnavailableError):  # closed: undone already
            self._leave(partial(self._group.undo, member=member))

    def close(self) -> None:
        """Refuse whatever comes from now on; give up what is not committed."""
        reason = UnavailableError("the database was closed")
        self._jobs.put(partial(self._group.abandon, reason=reason))
        self._left = 0
        self._closed = True

    def _leave(self, job: Job) -> None:
        self._turn.release()
        self._refuse_if_closed()
        self._jobs.hold(job)  # what follows it wakes the thread: a COMMIT, or the next transaction
        self._left += 1
        if self._is_full():
            self._commit()
        else:
            self._commit_if_deserted()

    def _is_full(self) -> bool:
        age = asyncio.get_running_loop().time() - self._began
        return self._left >= GROUP_SIZE or age >= GROUP_DURATION

    def _commit_if_deserted(self) -> None:
        """Commit when no transaction is open and none waits: whoever waited may have been cancelled."""
        if self._left and not self._waiting and not self._turn.locked():
            self._commit()

    def _commit(self) -> None:
        self._jobs.put(self._group.commit)
        self._left = 0

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise UnavailableError("the database is closed")


@asynccontextmanager
async def open_writer(connect: Connect, results: Results) -> AsyncGenerator[Writer, None]:
    jobs = JobQueue()
    async with Worker("sqlite-writer", connect, jobs, results):
        with closing(Writer(jobs, results)) as writer:
            yield writer
