"""The SQL schema's history, one for SQLite and PostgreSQL, applied by the admin role at its start.

The functions are synchronous and block: call them in a thread. No ``alembic.ini`` is needed, so they
work from an installed wheel.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import NullPool

__all__ = ["current", "downgrade", "is_current", "upgrade"]

LOCK_TIMEOUT: Final = 60.0
"""How long to wait for another process that is migrating the same SQLite file, in seconds."""

_ADVISORY_LOCK: Final = 0x61727473746F7265  # "artstore" in ASCII
_ONE_AT_A_TIME: Final = Lock()  # Alembic keeps its context in module globals


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema at ``url`` to ``revision``; nothing happens when it is there already.

    All or nothing. Any number of processes may call it at once: one migrates, the others wait.
    """
    with _locked(url) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(url: str, revision: str) -> None:
    """Take the schema at ``url`` back to ``revision``; ``base`` removes every table and its rows."""
    with _locked(url) as connection:
        command.downgrade(_config(connection), revision)


def current(url: str) -> str | None:
    """The revision of the schema at ``url``; ``None`` before the first migration."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def is_current(url: str) -> bool:
    """Whether the schema at ``url`` is the one that this release reads and writes."""
    return current(url) == ScriptDirectory(str(Path(__file__).parent)).get_current_head()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@contextmanager
def _locked(url: str) -> Generator[Connection, None, None]:
    """One transaction that no other migration runs beside."""
    engine = create_engine(url, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _leave_transactions_to_us)
        event.listen(engine, "begin", _begin_immediate)
    with _ONE_AT_A_TIME, engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
        yield connection


def _leave_transactions_to_us(dbapi_connection: Any, _record: object) -> None:
    # Python's sqlite3 would otherwise commit around DDL, and a failed migration would stay half done.
    dbapi_connection.isolation_level = None
    dbapi_connection.execute(f"PRAGMA busy_timeout = {int(LOCK_TIMEOUT * 1000)}")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
