"""From rows that were found to what the client is shown of them."""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import orjson

from artstore.core.search import SearchCriteria, SearchHit
from artstore.core.spec import Reader, Row, SearchIndex
from artstore.core.stores.rows import integer, listed, text

_BUILT_INLINE: Final = 10
"""Hits are built in a thread when there are more: each takes about 50 µs, most of it to mark words."""


async def read_hits(
    reader: Reader,
    criteria: SearchCriteria,
    row_ids: Sequence[int],
    *,
    scores: Mapping[int, float],
    search_index: SearchIndex | None,
) -> list[SearchHit]:
    """The files in the order of ``row_ids``, without those that have been deleted since."""
    if not row_ids:
        return []
    inside, parameters = listed("row_id", row_ids)
    found = await reader.fetch_all(
        "SELECT f.row_id, f.element_id, s.attributes FROM files AS f CROSS JOIN file_sidecars AS s"
        f" WHERE s.row_id = f.row_id AND f.row_id IN ({inside})",
        parameters,
    )
    rows = {integer(row, "row_id"): row for row in found}
    marker = search_index if criteria.mode == "fulltext" and criteria.text else None

    def build() -> list[SearchHit]:
        return [
            _hit(rows[row_id], scores.get(row_id), criteria.text, marker)
            for row_id in row_ids
            if row_id in rows
        ]

    return build() if len(rows) <= _BUILT_INLINE else await asyncio.to_thread(build)


def _hit(row: Row, score: float | None, query: str, marker: SearchIndex | None) -> SearchHit:
    attributes = cast("dict[str, Any]", orjson.loads(text(row, "attributes")))
    retention = attributes.pop("retention")
    return SearchHit.model_validate(
        {
            **attributes,
            "retention_policy": retention["policy"],
            "expires_at": retention.get("expires_at"),
            "element_id": text(row, "element_id"),
            "relevance_score": score,
            "highlights": {} if marker is None else _highlights(attributes, query, marker),
        }
    )


def _highlights(attributes: Mapping[str, Any], query: str, marker: SearchIndex) -> dict[str, str]:
    texts = {
        "original_filename": attributes["original_filename"],
        "description": attributes.get("description", ""),
        "tags": ", ".join(attributes.get("tags", [])),
    }
    marked = {name: marker.highlight(query, value) for name, value in texts.items() if value}
    return {name: fragment for name, fragment in marked.items() if fragment is not None}
