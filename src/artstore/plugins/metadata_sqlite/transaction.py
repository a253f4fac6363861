"""One write transaction, as its caller sees it."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self, TypeVar

from artstore.core.spec import Parameters, Row, Statement, Transaction
from artstore.plugins.metadata_sqlite import statements
from artstore.plugins.metadata_sqlite.group import Member
from artstore.plugins.metadata_sqlite.statements import executemany
from artstore.plugins.metadata_sqlite.writer import Writer

T = TypeVar("T")


class SqliteTransaction(Transaction):
    """A turn of the writer.

    Cancelled while it waits for its COMMIT, it may have been committed or not; cancelled before, it
    has not.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._member = Member()
        self._is_open = False

    async def __aenter__(self) -> Self:
        await self._writer.enter()
        self._is_open = True
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._is_open = False
        if error is None:
            await self._writer.keep(self._member)
        else:
            self._writer.undo(self._member)

    async def fetch_one(self, sql: str, parameters: Parameters | None = None) -> Row | None:
        return await self._run(lambda connection: statements.fetch_one(connection, sql, parameters))

    async def fetch_all(self, sql: str, parameters: Parameters | None = None) -> Sequence[Row]:
        return await self._run(lambda connection: statements.fetch_all(connection, sql, parameters))

    async def execute(self, sql: str, parameters: Parameters | None = None) -> int:
        return await self._run(lambda connection: statements.execute(connection, sql, parameters))

    async def executemany(self, sql: str, parameters: Iterable[Parameters]) -> None:
        batch = list(parameters)  # here: what the caller iterates over may belong to the event loop
        await self._run(lambda connection: executemany(connection, sql, batch))

    async def execute_all(self, statements: Iterable[Statement]) -> None:
        batches = [(sql, list(parameters)) for sql, parameters in statements]

        def run(connection: sqlite3.Connection) -> None:
            for sql, batch in batches:
                executemany(connection, sql, batch)

        await self._run(run)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if not self._is_open:
            raise RuntimeError("a statement outside its transaction would join somebody else's")
        return await self._writer.run(self._member, work)
