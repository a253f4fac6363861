"""What SQLite's result codes mean to the callers of a database."""

import sqlite3
from typing import Final

from artstore.core.spec import (
    AlreadyExistsError,
    CorruptedError,
    InsufficientStorageError,
    UnavailableError,
)

_UNIQUENESS: Final = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
}
_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_UNREACHABLE: Final = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM}
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def translated(error: Exception) -> Exception:
    """The domain error for ``error``; itself when it is a mistake in the program, such as bad SQL."""
    domain_error = _domain_error(_result_code(error))
    if domain_error is None:
        return error
    domain_error.__cause__ = error
    return domain_error


def is_damage(error: Exception) -> bool:
    """Whether the file is not a database, or no longer a sound one."""
    return _result_code(error) & 0xFF in _DAMAGED


def _domain_error(code: int) -> Exception | None:
    primary = code & 0xFF  # https://www.sqlite.org/rescode.html#pve
    if code in _UNIQUENESS:
        return AlreadyExistsError("a value that must be unique is taken")
    if primary == sqlite3.SQLITE_FULL:
        return InsufficientStorageError("there is no room left for the database")
    if primary in _BUSY:
        return UnavailableError("the database is being written by another process")
    if primary in _UNREACHABLE:
        return UnavailableError("the database file cannot be read or written")
    if primary in _DAMAGED:
        return CorruptedError("the database file is damaged")
    return None


def _result_code(error: Exception) -> int:
    """The extended result code; 0 when ``error`` does not come from SQLite itself."""
    return getattr(error, "sqlite_errorcode", 0)
