"""Group commit, as the writer thread sees it: transactions that share one COMMIT and so one fsync."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress

from artstore.plugins.metadata_sqlite.handover import Results


class Member:
    """One transaction. It joins the group with its first statement."""

    __slots__ = ("begun", "failure", "nested")

    def __init__(self) -> None:
        self.begun = False
        self.nested = False
        self.failure: Exception | None = None


class Group:
    """What stands between one BEGIN IMMEDIATE and its COMMIT. Every method runs in the writer thread.

    The first member needs nothing more; those after it are savepoints, so that each can be undone
    alone. SQLite itself may give up everything on a full disk or a failed write: then no member is
    acknowledged and nothing of any is kept.
    """

    def __init__(self, results: Results) -> None:
        self._results = results
        self._unacknowledged: list[asyncio.Future[None]] = []

    def run(
        self,
        connection: sqlite3.Connection,
        *,
        member: Member,
        work: Callable[[sqlite3.Connection], object],
        result: asyncio.Future[object],
    ) -> None:
        try:
            self._join(connection, member)
            self._results.succeed(work(connection), result)
        except Exception as error:
            self._notice_loss(connection, member, error)
            self._results.fail(error, result)

    def keep(
        self, connection: sqlite3.Connection, *, member: Member, acknowledged: asyncio.Future[None]
    ) -> None:
        """The member is complete: acknowledge it after the next COMMIT."""
        try:
            if member.failure is not None:
                raise member.failure
            if member.nested:
                connection.execute("RELEASE member")
        except Exception as error:
            self._notice_loss(connection, member, error)
            self.undo(connection, member=member)
            self._results.fail(error, acknowledged)
        else:
            self._unacknowledged.append(acknowledged)

    def undo(self, connection: sqlite3.Connection, *, member: Member) -> None:
        """The member is given up; the others do not notice."""
        if not member.begun or member.failure is not None:
            return
        try:
            if member.nested:
                connection.execute("ROLLBACK TO member")
                connection.execute("RELEASE member")
            else:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            self.abandon(connection, reason=error)

    def commit(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            self.abandon(connection, reason=error)
        else:
            self._results.succeed(None, *self._unacknowledged)
            self._unacknowledged.clear()

    def abandon(self, connection: sqlite3.Connection, *, reason: Exception) -> None:
        """Nothing of the group is kept; every member that waits for its COMMIT is told so."""
        with suppress(sqlite3.Error):
            connection.rollback()
        self._results.fail(reason, *self._unacknowledged)
        self._unacknowledged.clear()

    def _join(self, connection: sqlite3.Connection, member: Member) -> None:
        if member.failure is not None:
            raise member.failure
        if not member.begun:
            member.nested = connection.in_transaction
            connection.execute("SAVEPOINT member" if member.nested else "BEGIN IMMEDIATE")
            member.begun = True

    def _notice_loss(self, connection: sqlite3.Connection, member: Member, error: Exception) -> None:
        """When SQLite gave up everything the member must not go on without its past."""
        if member.begun and not connection.in_transaction:
            member.failure = error
            self.abandon(connection, reason=error)
