"""Answers that carry sidecars: these are JSON already and are not taken apart for it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from aiohttp import web

from artstore.core.attributes import FileAttributes
from artstore.core.exchange import POSITION_HEADER
from artstore.core.http.operations import JSON
from artstore.core.spec import Row
from artstore.core.stores.rows import text
from artstore.services.storage_element.catalog_records import Committed
from artstore.services.storage_element.element import Element

_ENTRY: Final = ("sequence", "time", "operation", "file_id", "attributes_digest", "mode")


def stored_file(element: Element, committed: Committed, *, status: int = 200) -> web.Response:
    """A ``StoredFile``. Its entry does not repeat the attributes."""
    change = committed.change
    entry = {
        "sequence": committed.sequence,
        "time": committed.time,
        "operation": change.operation,
        "file_id": change.file_id,
        "attributes_digest": change.digest,
    }
    content = {
        "element_id": element.element_id,
        "epoch": committed.epoch,
        "entry": entry,
        "attributes": orjson.Fragment(change.sidecar),
    }
    position = f"{element.element_id}:{committed.sequence}"
    return _json(content, status=status, headers={POSITION_HEADER: position})


def sidecar(committed: Committed, attributes: FileAttributes, *, is_known_to_client: bool) -> web.Response:
    """The sidecar itself, or 304."""
    headers = {"ETag": f'"{attributes.version}"', "Cache-Control": "private, no-cache"}
    if is_known_to_client:
        return web.Response(status=304, headers=headers)
    return _json(orjson.Fragment(committed.change.sidecar), headers=headers)


def file_page(element: Element, sidecars: Sequence[str], *, limit: int, offset: int) -> web.Response:
    """A slice of the files; one sidecar more than ``limit`` says that there is more."""
    content = {
        "items": [orjson.Fragment(sidecar) for sidecar in sidecars[:limit]],
        "total": element.catalog.file_count,
        "limit": limit,
        "offset": offset,
        "has_more": len(sidecars) > limit,
    }
    return _json(content)


def journal_page(element: Element, rows: Sequence[Row]) -> web.Response:
    """A ``JournalPage``."""
    last = element.catalog.last_sequence
    content = {
        "element_id": element.element_id,
        "epoch": element.catalog.epoch,
        "items": [_entry(row) for row in rows],
        "last_sequence": last,
        "has_more": bool(rows) and rows[-1]["sequence"] != last,
    }
    return _json(content)


def _entry(row: Row) -> dict[str, Any]:
    entry: dict[str, Any] = {name: row[name] for name in _ENTRY if row[name] is not None}
    if row["attributes"] is not None:
        entry["attributes"] = orjson.Fragment(text(row, "attributes"))
    return entry


def _json(content: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps(content), headers=headers, content_type=JSON, charset=None
    )
