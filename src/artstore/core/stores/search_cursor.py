"""``next_after``: where a page of a search ended, as text that clients send back unread."""

import base64
from collections.abc import Mapping
from typing import Annotated, Final, NamedTuple

import orjson
from pydantic import Field, JsonValue, TypeAdapter

from artstore.core.attribute_fields import Text
from artstore.core.search import SearchCriteria, SortKey, SortOrder
from artstore.core.spec import InvalidRequestError
from artstore.core.stores.search_plan import Cursor

_Integer = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
_VALUE: Final[Mapping[SortKey, TypeAdapter[int] | TypeAdapter[str]]] = {
    "created_at": TypeAdapter[int](_Integer),
    "updated_at": TypeAdapter[int](Annotated[int, Field(strict=True, ge=-(2**63), le=2**63 - 1)]),
    "file_size": TypeAdapter[int](_Integer),
    "filename": TypeAdapter[str](Text),
    "relevance": TypeAdapter[int](_Integer),
}


class _Encoded(NamedTuple):
    sort_key: SortKey
    sort_order: SortOrder
    value: JsonValue
    row_id: _Integer


_ENCODED: Final = TypeAdapter(_Encoded)


def encode(criteria: SearchCriteria, cursor: Cursor) -> str:
    document = [criteria.sort_key, criteria.sort_order, cursor.value, cursor.row_id]
    return base64.urlsafe_b64encode(orjson.dumps(document)).rstrip(b"=").decode()


def decode(criteria: SearchCriteria) -> Cursor | None:
    """The place that ``after`` names; ``None`` for the first page.

    Raises:
        InvalidRequestError: it does not come from a page of the same order.
    """
    if criteria.after is None:
        return None
    try:
        encoded = _ENCODED.validate_json(base64.urlsafe_b64decode(_padded(criteria.after)))
        value = _VALUE[encoded.sort_key].validate_python(encoded.value)
    except ValueError:
        raise InvalidRequestError("after is not a cursor: send next_after of the page before") from None
    if (encoded.sort_key, encoded.sort_order) != (criteria.sort_key, criteria.sort_order):
        raise InvalidRequestError(
            f"after comes from a search by {encoded.sort_key} {encoded.sort_order}:"
            " keep sort_by and sort_order"
        )
    return Cursor(value, encoded.row_id)


def _padded(after: str) -> str:
    return after + "=" * (-len(after) % 4)
