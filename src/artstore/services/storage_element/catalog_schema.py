"""The catalog's tables, and what it says of itself. It can be lost: sidecars are the truth."""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

from collections.abc import Mapping
from typing import Final

from artstore.core.spec import Database, Dialect, Transaction
from artstore.core.stores.rows import text

FORMAT: Final = "4"
"""Another format means: build it again from the sidecars."""

_INTEGER: Final[Mapping[Dialect, str]] = {"sqlite": "INTEGER", "postgresql": "BIGINT"}

_KEYS: Final = {"files": "file_id", "journal": "sequence", "unusable": "file_id"}
"""The tables that a rebuild replaces, and their keys."""
_DROPPED_AT_ONCE: Final = 500

_META: Final = "CREATE TABLE IF NOT EXISTS catalog_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
_FILES: Final = """CREATE TABLE {name} (
    file_id TEXT PRIMARY KEY,
    storage_key TEXT NOT NULL,
    attributes TEXT NOT NULL,
    attributes_digest TEXT NOT NULL,
    status TEXT NOT NULL,
    sequence {integer} NOT NULL)"""
_ACTIVE_FILES: Final = "CREATE INDEX catalog_active_files_{tag} ON {name} (file_id) WHERE status = 'active'"
_JOURNAL: Final = """CREATE TABLE {name} (
    sequence {integer} PRIMARY KEY,
    time TEXT NOT NULL,
    operation TEXT NOT NULL,
    file_id TEXT,
    attributes_digest TEXT,
    mode TEXT)"""
_UNUSABLE: Final = """CREATE TABLE {name} (
    file_id TEXT NOT NULL,
    storage_key TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (file_id, storage_key))"""
_WAL: Final = """CREATE TABLE catalog_wal (
    transaction_id {integer} PRIMARY KEY,
    operation TEXT NOT NULL,
    status TEXT NOT NULL,
    file_id TEXT,
    storage_key TEXT NOT NULL,
    mode TEXT,
    cause TEXT,
    started_at TEXT NOT NULL,
    completed_at TEXT)"""


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


async def begin_next(transaction: Transaction, dialect: Dialect, *, tag: str) -> None:
    """Make the empty tables of a catalog that is to take the place of the present one.

    Indexes keep their names when tables are renamed, so each has a ``tag`` of its own.
    """
    integer = _INTEGER[dialect]
    await drop_next(transaction)
    await transaction.execute(_FILES.format(name="catalog_next_files", integer=integer))
    await transaction.execute(_ACTIVE_FILES.format(name="catalog_next_files", tag=tag))
    await transaction.execute(_JOURNAL.format(name="catalog_next_journal", integer=integer))
    await transaction.execute(_UNUSABLE.format(name="catalog_next_unusable"))


async def drop_next(transaction: Transaction) -> None:
    """Give up what :func:`begin_next` began, if anything."""
    for table in _KEYS:
        await transaction.execute(f"DROP TABLE IF EXISTS catalog_next_{table}")


async def put_next_in_place(transaction: Transaction, *, is_serving: bool) -> None:
    """Let the next catalog be the present one.

    The one before it is forgotten, or put aside where others wait: to drop a table takes the longer the
    larger it is.
    """
    for table in _KEYS:
        if is_serving:
            await transaction.execute(f"ALTER TABLE catalog_{table} RENAME TO catalog_old_{table}")
        else:
            await transaction.execute(f"DROP TABLE IF EXISTS catalog_{table}")
        await transaction.execute(f"ALTER TABLE catalog_next_{table} RENAME TO catalog_{table}")


async def drop_old(database: Database) -> None:
    """Forget what was put aside, in transactions of a moment."""
    for table, key in _KEYS.items():
        name = f"catalog_old_{table}"
        async with database.transaction() as transaction:
            await transaction.execute(f"CREATE TABLE IF NOT EXISTS {name} ({key} TEXT)")
        some = f"SELECT {key} FROM {name} ORDER BY {key} LIMIT {_DROPPED_AT_ONCE}"
        is_empty = False
        while not is_empty:
            async with database.transaction() as transaction:
                dropped = await transaction.execute(f"DELETE FROM {name} WHERE {key} IN ({some})")
            is_empty = dropped < _DROPPED_AT_ONCE
        async with database.transaction() as transaction:
            await transaction.execute(f"DROP TABLE {name}")


async def begin_log(transaction: Transaction, dialect: Dialect) -> None:
    """Begin an empty write-ahead log, in place of whatever was there."""
    await transaction.execute("DROP TABLE IF EXISTS catalog_wal")
    await transaction.execute(_WAL.format(integer=_INTEGER[dialect]))
