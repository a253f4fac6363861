"""The SQLite database: one writer, several readers, and the search index in the same file."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

from artstore.core.spec import Database, Dialect, Logger, Parameters, Row
from artstore.plugins.metadata_sqlite import file, search, statements
from artstore.plugins.metadata_sqlite.handover import Results
from artstore.plugins.metadata_sqlite.readers import Readers, open_readers
from artstore.plugins.metadata_sqlite.transaction import SqliteTransaction
from artstore.plugins.metadata_sqlite.writer import Writer, open_writer


class SqliteDatabase(Database):
    def __init__(self, path: Path, writer: Writer, readers: Readers) -> None:
        self._path = path
        self._writer = writer
        self._readers = readers
        self._search_index = search.SqliteSearchIndex()

    @property
    def dialect(self) -> Dialect:
        return "sqlite"

    @property
    def url(self) -> str:
        return f"sqlite:///{self._path}"

    @property
    def search_index(self) -> search.SqliteSearchIndex:
        return self._search_index

    def transaction(self) -> SqliteTransaction:
        return SqliteTransaction(self._writer)

    async def fetch_one(self, sql: str, parameters: Parameters | None = None) -> Row | None:
        return await self._readers.run(lambda connection: statements.fetch_one(connection, sql, parameters))

    async def fetch_all(self, sql: str, parameters: Parameters | None = None) -> Sequence[Row]:
        return await self._readers.run(lambda connection: statements.fetch_all(connection, sql, parameters))


@asynccontextmanager
async def open_database(
    path: Path, *, synchronous: file.Synchronous, readers: int, busy_timeout: float, logger: Logger
) -> AsyncGenerator[SqliteDatabase, None]:
    """The database at ``path``, which is made when absent.

    Raises:
        ConfigurationError: the file cannot be used.
    """
    path = await asyncio.to_thread(file.prepare, path, tables=search.TABLES, busy_timeout=busy_timeout)
    connect = partial(file.connect, path, synchronous=synchronous, busy_timeout=busy_timeout)
    with closing(Results()) as results:
        async with (
            open_writer(lambda: _for_writing(connect()), results) as writer,
            open_readers(lambda: _for_reading(connect()), results, count=readers) as reading,
        ):
            logger.info("database_opened", path=str(path), sqlite_version=sqlite3.sqlite_version)
            yield SqliteDatabase(path, writer, reading)


def _for_writing(connection: sqlite3.Connection) -> sqlite3.Connection:
    search.add_functions(connection)
    return connection


def _for_reading(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute("PRAGMA query_only = ON")
    return connection
