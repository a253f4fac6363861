"""Since when data have been seen without a sidecar: kept over restarts and rebuilds of the catalog."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from artstore.core.attribute_fields import format_timestamp
from artstore.core.spec import Database
from artstore.core.stores.rows import listed, text

_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS element_orphans"
    " (storage_key TEXT PRIMARY KEY, first_seen TEXT NOT NULL, last_run TEXT NOT NULL)"
)
_NOTE: Final = (
    "INSERT INTO element_orphans (storage_key, first_seen, last_run) VALUES (:key, :now, :run)"
    " ON CONFLICT (storage_key) DO UPDATE SET last_run = excluded.last_run"
)
_FORGET: Final = "DELETE FROM element_orphans WHERE last_run <> :run"
_GET: Final = "SELECT storage_key, first_seen FROM element_orphans WHERE storage_key IN ({keys})"


async def prepare(database: Database) -> None:
    """Make the table."""
    async with database.transaction() as transaction:
        await transaction.execute(_TABLE)


async def first_seen(
    database: Database, keys: Sequence[str], *, now: datetime, run: str
) -> Mapping[str, datetime]:
    """Note that a run saw these now; when an earlier one saw each first, if one did."""
    inside, parameters = listed("key", keys)
    async with database.transaction() as transaction:
        rows = await transaction.fetch_all(_GET.format(keys=inside), parameters)
        seen = [{"key": key, "now": format_timestamp(now), "run": run} for key in keys]
        await transaction.executemany(_NOTE, seen)
    return {text(row, "storage_key"): datetime.fromisoformat(text(row, "first_seen")) for row in rows}


async def forget_others(database: Database, *, run: str) -> None:
    """What a run that has listed everything did not see is no orphan any more."""
    async with database.transaction() as transaction:
        await transaction.execute(_FORGET, {"run": run})
