"""The tables of fixity: what is due, what was found, and the runs.

They are in the database of the catalog, but not of the catalog: a rebuild leaves them. With that database
they are lost, and then every file counts as never checked.
"""

from collections.abc import Mapping
from typing import Final

from artstore.core.spec import Database, Dialect

_INTEGER: Final[Mapping[Dialect, str]] = {"sqlite": "INTEGER", "postgresql": "BIGINT"}

# Times are microseconds since 1970; checked_at is 0 for what was never checked.
_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS fixity_files (
        file_id TEXT PRIMARY KEY,
        known_since {integer} NOT NULL,
        checked_at {integer} NOT NULL,
        outcome TEXT)""",
    "CREATE INDEX IF NOT EXISTS fixity_files_due ON fixity_files (checked_at, file_id)",
    "CREATE INDEX IF NOT EXISTS fixity_files_new ON fixity_files (known_since) WHERE outcome IS NULL",
    "CREATE INDEX IF NOT EXISTS fixity_files_bad ON fixity_files (file_id) WHERE outcome <> 'good'",
    """CREATE TABLE IF NOT EXISTS fixity_checks (
        file_id TEXT NOT NULL,
        checked_at {integer} NOT NULL,
        outcome TEXT NOT NULL,
        checked_by TEXT NOT NULL,
        microseconds {integer} NOT NULL,
        sha256 TEXT,
        detail TEXT,
        PRIMARY KEY (file_id, checked_at))""",
    """CREATE TABLE IF NOT EXISTS fixity_runs (
        run_id TEXT PRIMARY KEY,
        reason TEXT NOT NULL,
        file_ids TEXT,
        checked_before {integer} NOT NULL,
        requested_at {integer} NOT NULL,
        started_at {integer},
        finished_at {integer},
        files {integer} NOT NULL,
        checked {integer} NOT NULL,
        checked_bytes {integer} NOT NULL,
        bad {integer} NOT NULL,
        sample TEXT)""",
)


async def create_fixity_tables(database: Database) -> None:
    """Make those that are not there."""
    async with database.transaction() as transaction:
        for statement in _SCHEMA:
            await transaction.execute(statement.format(integer=_INTEGER[database.dialect]))
