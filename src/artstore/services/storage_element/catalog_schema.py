"""The catalog's tables, and what it says of itself. It can be lost: sidecars are the truth."""

from collections.abc import Mapping
from typing import Final

from artstore.core.spec import Database, Dialect
from artstore.core.stores.rows import text

FORMAT: Final = "2"
"""Another format means: build it again from the sidecars."""

_TABLES: Final = ("catalog_files", "catalog_journal", "catalog_wal")
_INTEGER: Final[Mapping[Dialect, str]] = {"sqlite": "INTEGER", "postgresql": "BIGINT"}

_META: Final = "CREATE TABLE IF NOT EXISTS catalog_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
_SCHEMA: Final = (
    """CREATE TABLE catalog_files (
        file_id TEXT PRIMARY KEY,
        storage_key TEXT NOT NULL,
        attributes TEXT NOT NULL,
        attributes_digest TEXT NOT NULL,
        status TEXT NOT NULL,
        sequence {integer} NOT NULL)""",
    "CREATE INDEX catalog_active_files ON catalog_files (file_id) WHERE status = 'active'",
    """CREATE TABLE catalog_journal (
        sequence {integer} PRIMARY KEY,
        time TEXT NOT NULL,
        operation TEXT NOT NULL,
        file_id TEXT,
        attributes_digest TEXT,
        mode TEXT)""",
    """CREATE TABLE catalog_wal (
        transaction_id {integer} PRIMARY KEY,
        operation TEXT NOT NULL,
        status TEXT NOT NULL,
        file_id TEXT,
        storage_key TEXT NOT NULL,
        mode TEXT,
        started_at TEXT NOT NULL,
        completed_at TEXT)""",
)


async def read_meta(database: Database) -> dict[str, str]:
    """What the catalog says of itself; nothing when it is new or was not built to its end."""
    async with database.transaction() as transaction:
        await transaction.execute(_META)
        rows = await transaction.fetch_all("SELECT name, value FROM catalog_meta")
    return {text(row, "name"): text(row, "value") for row in rows}


async def write_meta(database: Database, meta: Mapping[str, str]) -> None:
    """Say ``meta`` from now on, and nothing else."""
    async with database.transaction() as transaction:
        await transaction.execute("DELETE FROM catalog_meta")
        await transaction.executemany(
            "INSERT INTO catalog_meta (name, value) VALUES (:name, :value)",
            [{"name": name, "value": value} for name, value in meta.items()],
        )


async def create_tables(database: Database) -> None:
    """Begin an empty catalog, in place of whatever was there."""
    async with database.transaction() as transaction:
        await transaction.execute("DELETE FROM catalog_meta")
        for table in _TABLES:
            await transaction.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in _SCHEMA:
            await transaction.execute(statement.format(integer=_INTEGER[database.dialect]))
