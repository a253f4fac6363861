"""The database file: made ready once, then opened by every thread that uses it."""

import sqlite3
import stat
from collections.abc import Iterable
from contextlib import closing, suppress
from os import mknod
from pathlib import Path
from typing import Final, Literal

from artstore.core.spec import ConfigurationError
from artstore.plugins.metadata_sqlite.errors import is_damage

Synchronous = Literal["full", "normal"]

_MAGIC: Final = b"SQLite format 3\0"  # https://www.sqlite.org/fileformat.html
_CACHE_KIB: Final = 8 * 1024
_LOG_SIZE_LIMIT: Final = 64 * 1024 * 1024  # otherwise the log keeps the largest size it ever had


def prepare(path: Path, *, tables: Iterable[str], busy_timeout: float) -> Path:
    """Make ``path`` a database with a write-ahead log and ``tables``; its absolute path.

    Raises:
        ConfigurationError: it cannot be one.
    """
    path = path.absolute()
    try:
        _create(path)
        with closing(sqlite3.connect(path, isolation_level=None, timeout=busy_timeout)) as connection:
            use_log(connection, path)
            _create_tables(connection, tables)
    except OSError as error:
        raise ConfigurationError(f"the database {path} cannot be made: {error}") from error
    except sqlite3.Error as error:
        raise ConfigurationError(_explanation(path, error)) from error
    return path


def connect(path: Path, *, synchronous: Synchronous, busy_timeout: float) -> sqlite3.Connection:
    """A connection for the calling thread, which begins and ends transactions itself."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=busy_timeout, cached_statements=256)
    for setting in (
        f"synchronous = {synchronous}",
        f"cache_size = -{_CACHE_KIB}",
        f"journal_size_limit = {_LOG_SIZE_LIMIT}",
        "foreign_keys = ON",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {setting}")
    return connection


def use_log(connection: sqlite3.Connection, path: Path) -> None:
    """Make the write-ahead log the database's journal.

    Raises:
        ConfigurationError: the file system cannot share memory, which it needs.
    """
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise ConfigurationError(
            f"the database {path} must be on a local disk: its file system shares no memory"
        )


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Private, since accounts are kept here. Not by opening it: closing any descriptor of the file
    # would drop the locks that other connections of this process hold on it.
    with suppress(FileExistsError):
        mknod(path, stat.S_IFREG | 0o600)


def _create_tables(connection: sqlite3.Connection, tables: Iterable[str]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for table in tables:
        connection.execute(table)
    connection.execute("COMMIT")


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def _explanation(path: Path, error: sqlite3.Error) -> str:
    if is_damage(error):
        if not _is_database(path):
            return f"{path} is not a database: correct `path`, or move that file away"
        return (
            f"the database {path} is damaged: put a backup in its place, or move it away together with"
            f" {path.name}-wal and {path.name}-shm; files are indexed again from the storage elements,"
            f" accounts that people made are only in a backup"
        )
    return f"the database {path} cannot be opened: {error}"
