"""Finds what may be garbage, without touching it: catalog and listing are the first of two proofs."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from artstore.core.attribute_fields import format_timestamp
from artstore.core.collection import Reason
from artstore.core.naming import SIDECAR_SUFFIX, parse
from artstore.core.spec import Database, Dialect, ObjectInfo, StorageBackend
from artstore.core.stores.rows import integer, listed, text

PAGE: Final = 500

_FIELD: Final[dict[Dialect, str]] = {
    "sqlite": "json_extract(attributes, '$.{path}')",
    "postgresql": "(CAST(attributes AS json) #>> '{{{path}}}')",
}
"""How each engine reads one field of a sidecar."""

# Canonical JSON writes times in one length, so that the order of texts is that of times.
_EXPIRED: Final = (
    "SELECT file_id, storage_key, {size} AS size FROM catalog_files WHERE status = 'active'"
    " AND file_id > :after AND {policy} = 'temporary' AND {expires_at} <= :until"
    " AND COALESCE({holds}, '[]') = '[]' AND {finalization} IS NULL"
    " ORDER BY file_id LIMIT :limit"
)
_TOMBSTONES: Final = (
    "SELECT file_id, storage_key, 0 AS size FROM catalog_files WHERE status = 'deleted'"
    " AND file_id > :after AND {updated_at} <= :until ORDER BY file_id LIMIT :limit"
)
_DELETED: Final = (
    "SELECT file_id, storage_key FROM catalog_files WHERE status = 'deleted' AND {updated_at} <= :until"
    " AND file_id IN ({ids})"
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Data of ``size`` bytes at ``key``, or what is left of them, that may have to go."""

    reason: Reason
    file_id: UUID
    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Data:
    """Data that a listing of the storage has, and whether their sidecar is listed, too."""

    file_id: UUID
    info: ObjectInfo
    has_sidecar: bool


async def expired(database: Database, *, until: datetime) -> AsyncGenerator[Candidate, None]:
    """Temporary files whose time was over at ``until``. Those that are held or were promised to become
    permanent, maybe many for years, are none.
    """
    sql = _EXPIRED.format(
        size=_field(database, "file_size"),
        policy=_field(database, "retention", "policy"),
        expires_at=_field(database, "retention", "expires_at"),
        holds=_field(database, "retention", "holds"),
        finalization=_field(database, "retention", "finalization"),
    )
    async for candidate in _walk(database, sql, reason="expired", until=until):
        yield candidate


async def old_tombstones(database: Database, *, until: datetime) -> AsyncGenerator[Candidate, None]:
    """Tombstones of files that were deleted before ``until``."""
    sql = _TOMBSTONES.format(updated_at=_field(database, "updated_at"))
    async for candidate in _walk(database, sql, reason="tombstone", until=until):
        yield candidate


async def removals(database: Database, listing: Sequence[Data], *, until: datetime) -> Sequence[Candidate]:
    """Those of ``listing`` that are data of files deleted before ``until``."""
    sizes = {data.info.key: data.info.size for data in listing}
    ids, parameters = listed("id", [str(data.file_id) for data in listing])
    sql = _DELETED.format(updated_at=_field(database, "updated_at"), ids=ids)
    rows = await database.fetch_all(sql, {**parameters, "until": format_timestamp(until)})
    return [
        Candidate("removal", UUID(text(row, "file_id")), key, sizes[key])
        for row in rows
        if (key := text(row, "storage_key")) in sizes
    ]


async def data_by_page(storage: StorageBackend) -> AsyncGenerator[Sequence[Data], None]:
    """All data whose name we made, up to ``PAGE`` at a time."""
    page: list[Data] = []
    async for data in _data(storage):
        page.append(data)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


async def _data(storage: StorageBackend) -> AsyncIterator[Data]:
    """What sorts between a name and its sidecar begins with that name, so few names wait at a time."""
    waiting: dict[str, Data] = {}
    async for info in storage.list():
        for key in [key for key in waiting if not info.key.startswith(key)]:
            yield waiting.pop(key)
        if info.key.endswith(SIDECAR_SUFFIX):
            found = waiting.pop(info.key.removesuffix(SIDECAR_SUFFIX), None)
            if found is not None:
                yield Data(found.file_id, found.info, has_sidecar=True)
        elif (name := parse(info.key.rpartition("/")[2])) is not None:
            waiting[info.key] = Data(name.file_id, info, has_sidecar=False)
    for data in waiting.values():
        yield data


async def _walk(
    database: Database, sql: str, *, reason: Reason, until: datetime
) -> AsyncGenerator[Candidate, None]:
    after = ""
    while True:
        rows = await database.fetch_all(
            sql, {"after": after, "until": format_timestamp(until), "limit": PAGE}
        )
        for row in rows:
            yield Candidate(
                reason, UUID(text(row, "file_id")), text(row, "storage_key"), integer(row, "size")
            )
        if len(rows) < PAGE:
            return
        after = text(rows[-1], "file_id")


def _field(database: Database, *names: str) -> str:
    separator = "." if database.dialect == "sqlite" else ","
    field = _FIELD[database.dialect].format(path=separator.join(names))
    return f"CAST({field} AS BIGINT)" if names == ("file_size",) else field
