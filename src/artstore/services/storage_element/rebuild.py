"""Builds the catalog again from the sidecars: all it ever says is what they say."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from artstore.core.attribute_fields import format_timestamp
from artstore.core.attributes import FileAttributes
from artstore.core.logging import get_logger
from artstore.core.naming import SIDECAR_SUFFIX
from artstore.core.spec import (
    ArtStoreError,
    Database,
    LocalPaths,
    Parameters,
    StorageBackend,
    UnavailableError,
)
from artstore.core.stores.rows import count
from artstore.services.storage_element.catalog_records import Change
from artstore.services.storage_element.catalog_schema import create_tables
from artstore.services.storage_element.small_objects import READ_LIMIT, read_small

BATCH_SIZE: Final = 1000
READERS: Final = 16
ATTEMPTS: Final = 3
"""How often a sidecar is asked for that the storage does not give out now."""
PAUSE: Final = 0.5
"""Seconds between two attempts."""
_log: Final = get_logger("element")

# A file that is there twice was copied by somebody: the one found first counts.
_PUT: Final = (
    "INSERT INTO catalog_files (file_id, storage_key, attributes, attributes_digest, status, sequence)"
    " VALUES (:file_id, :storage_key, :attributes, :attributes_digest, :status, 0)"
    " ON CONFLICT (file_id) DO NOTHING"
)
_NUMBER: Final = (
    "UPDATE catalog_files SET sequence = numbered.sequence FROM"
    " (SELECT file_id, ROW_NUMBER() OVER (ORDER BY file_id) AS sequence FROM catalog_files) AS numbered"
    " WHERE numbered.file_id = catalog_files.file_id"
)
_JOURNAL: Final = (
    "INSERT INTO catalog_journal (sequence, time, operation, file_id, attributes_digest)"
    " SELECT sequence, CAST(:time AS TEXT), CASE status WHEN 'deleted' THEN 'delete' ELSE 'create' END,"
    " file_id, attributes_digest FROM catalog_files ORDER BY sequence"
)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild found: ``files`` are those in the catalog, tombstones included."""

    files: int
    copies: int
    unreadable: int


async def rebuild(storage: StorageBackend, database: Database) -> Rebuilt:
    """Fill an empty catalog from every sidecar. What cannot be read is logged and left out.

    Raises:
        UnavailableError: the storage cannot be listed, or the database cannot be written.
    """
    started = time.perf_counter()
    await create_tables(database)
    found = unreadable = 0
    async for keys in _batches(storage):
        rows = await _read(storage, keys)
        async with database.transaction() as transaction:
            await transaction.executemany(_PUT, rows)
        found += len(rows)
        unreadable += len(keys) - len(rows)
        _log.info("catalog_rebuild_progressed", sidecars=found, unreadable=unreadable)
    files = await _number(database)
    seconds = round(time.perf_counter() - started, 3)
    rebuilt = Rebuilt(files=files, copies=found - files, unreadable=unreadable)
    _log.info("catalog_rebuilt", files=files, copies=rebuilt.copies, unreadable=unreadable, seconds=seconds)
    return rebuilt


async def _batches(storage: StorageBackend) -> AsyncIterator[list[str]]:
    keys: list[str] = []
    async for info in storage.list():
        if info.key.endswith(SIDECAR_SUFFIX):
            keys.append(info.key)
        if len(keys) == BATCH_SIZE:
            yield keys
            keys = []
    if keys:
        yield keys


async def _read(storage: StorageBackend, keys: Sequence[str]) -> list[Parameters]:
    """The rows of those sidecars that can be read.

    Plain files are read by one thread without handing each over: that takes a third of the time.
    """
    if (paths := storage.capabilities.local_paths) is not None:
        return await asyncio.to_thread(_read_files, paths, keys)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_read_objects(storage, keys[start::READERS])) for start in range(READERS)]
    return [row for task in tasks for row in task.result()]


def _read_files(paths: LocalPaths, keys: Sequence[str]) -> list[Parameters]:
    rows: list[Parameters] = []
    for key in keys:
        try:
            with paths.path(key).open("rb", buffering=0) as file:
                rows.append(_row(file.read(READ_LIMIT + 1), key))
        except OSError as error:
            _log.error("sidecar_unreadable", key=key, reason=error.strerror)
        except ArtStoreError as error:
            _log.error("sidecar_unreadable", key=key, reason=error.detail)
    return rows


async def _read_objects(storage: StorageBackend, keys: Sequence[str]) -> list[Parameters]:
    rows: list[Parameters] = []
    for key in keys:
        try:
            rows.append(_row(await _read_patiently(storage, key), key))
        except ArtStoreError as error:
            _log.error("sidecar_unreadable", key=key, reason=error.detail)
    return rows


async def _read_patiently(storage: StorageBackend, key: str) -> bytes:
    for _ in range(ATTEMPTS - 1):
        try:
            return await read_small(storage, key)
        except UnavailableError:
            await asyncio.sleep(PAUSE)
    return await read_small(storage, key)


def _row(raw: bytes, key: str) -> Parameters:
    """Where the sidecar was found counts, not where it says it is: a moved archive is still readable."""
    attributes = FileAttributes.from_json(raw, limit=READ_LIMIT)
    sidecar = attributes.to_json(limit=READ_LIMIT)
    change = Change.of("create", attributes, key=key.removesuffix(SIDECAR_SUFFIX), sidecar=sidecar)
    return {
        "file_id": str(change.file_id),
        "storage_key": change.key,
        "attributes": sidecar.decode(),
        "attributes_digest": change.digest,
        "status": change.status,
    }


async def _number(database: Database) -> int:
    """Give every file its place in the journal, without gaps; the number of files."""
    async with database.transaction() as transaction:
        await transaction.execute(_NUMBER)
        await transaction.execute(_JOURNAL, {"time": format_timestamp(datetime.now(UTC))})
    return await count(database, "SELECT 1 FROM catalog_files")
