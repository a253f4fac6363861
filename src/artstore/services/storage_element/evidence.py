"""Gathers what storage and catalog have of a file, as it is now."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from artstore.core.naming import SIDECAR_SUFFIX
from artstore.core.spec import Database, LocalPaths, NotFoundError, ObjectInfo, Row, StorageBackend
from artstore.core.stores.rows import listed, text
from artstore.services.storage_element.catalog_records import Committed
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.judgement import Evidence, KnownRow, file_id_of
from artstore.services.storage_element.pairs import Pair
from artstore.services.storage_element.sidecars import Sidecar, Unusable, read_sidecars

_ROWS: Final = (
    "SELECT file_id, storage_key, attributes_digest, status FROM catalog_files WHERE file_id IN ({ids})"
)


async def gather_evidence(
    storage: StorageBackend, database: Database, pairs: Sequence[Pair]
) -> list[Evidence]:
    """What was listed, what its sidecars say and what the catalog has, in no more questions than needed."""
    sidecars = await _sidecars(storage, [pair.sidecar_key for pair in pairs if pair.has_sidecar])
    ids = {pair.key: file_id_of(pair.key, sidecars.get(pair.sidecar_key)) for pair in pairs}
    rows = await _rows(database, {str(file_id) for file_id in ids.values() if file_id is not None})
    return [
        Evidence(pair.key, pair.data, sidecars.get(pair.sidecar_key), rows.get(str(ids[pair.key])))
        for pair in pairs
        # A sidecar that vanished since was removed together with its file.
        if not pair.has_sidecar or pair.sidecar_key in sidecars
    ]


async def look_again(element: Element, key: str, *, sha256: str | None = None) -> Evidence:
    """The same of one file, asked of everybody once more. ``sha256`` is what its data were found to have."""
    storage = element.storage
    sidecar_key = key + SIDECAR_SUFFIX
    sidecar = (await _sidecars(storage, [sidecar_key])).get(sidecar_key)
    file_id = file_id_of(key, sidecar)
    row = None if file_id is None else _known(await element.catalog.get(file_id))
    is_backed = row is not None and await head(storage, row.key + SIDECAR_SUFFIX) is not None
    return Evidence(key, await head(storage, key), sidecar, row, is_row_backed=is_backed, sha256=sha256)


async def head(storage: StorageBackend, key: str) -> ObjectInfo | None:
    """What is at a key, if anything."""
    try:
        return await storage.head(key)
    except NotFoundError:
        return None


async def measure(storage: StorageBackend, key: str) -> str | None:
    """SHA-256 of the data at a key; nothing when there are none any more."""
    digest = hashlib.sha256()
    try:
        async with storage.get(key) as reader:
            async for chunk in reader.chunks:
                await asyncio.to_thread(digest.update, chunk)
    except NotFoundError:
        return None
    return digest.hexdigest()


async def measure_file(paths: LocalPaths, key: str) -> str | None:
    """The same of a plain file, in one go. It may not be complete yet, or not be there."""
    try:
        return await asyncio.to_thread(_measure_file, paths, key)
    except OSError:
        return None


def is_under_way(element: Element, file_id: UUID | None) -> bool:
    """Whether somebody creates, changes or deletes the file just now, or left that to be settled."""
    return file_id is not None and (element.locks[file_id].locked() or file_id in element.catalog.pending)


async def _sidecars(storage: StorageBackend, keys: Sequence[str]) -> Mapping[str, Sidecar | Unusable]:
    if not keys:
        return {}
    batch = await read_sidecars(storage, keys)
    found: dict[str, Sidecar | Unusable] = {each.change.key + SIDECAR_SUFFIX: each for each in batch.found}
    found.update((each.key, each) for each in batch.unusable)
    return found


async def _rows(database: Database, file_ids: set[str]) -> Mapping[str, KnownRow]:
    if not file_ids:
        return {}
    ids, parameters = listed("id", sorted(file_ids))
    rows = await database.fetch_all(_ROWS.format(ids=ids), parameters)
    return {text(row, "file_id"): _known_row(row) for row in rows}


def _known_row(row: Row) -> KnownRow:
    return KnownRow(text(row, "storage_key"), text(row, "attributes_digest"), text(row, "status"))


def _known(committed: Committed | None) -> KnownRow | None:
    if committed is None:
        return None
    change = committed.change
    return KnownRow(change.key, change.digest, change.status)


def _measure_file(paths: LocalPaths, key: str) -> str:
    """Blocks."""
    with open(paths.open(key), "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
