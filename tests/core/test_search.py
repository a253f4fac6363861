"""Which searches are understood, and which are refused with what to change."""

from typing import Any

import pytest
from pydantic import ValidationError

from artstore.core.search import JournalPosition, SearchCriteria, SortKey
from artstore.core.spec import InvalidRequestError


def test_without_criteria_the_newest_hundred_are_asked_for() -> None:
    criteria = SearchCriteria()

    assert (criteria.sort_key, criteria.sort_order, criteria.limit, criteria.offset) == (
        "created_at",
        "desc",
        100,
        0,
    )


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"query": "договор"}, "relevance"),
        ({"query": "договор", "sort_order": "asc"}, "created_at"),
        ({"query": "договор", "mode": "partial"}, "created_at"),
        ({"query": "договор", "mode": "exact"}, "created_at"),
        ({"query": " "}, "created_at"),
        ({"query": "договор", "sort_by": "filename"}, "filename"),
    ],
)
def test_words_are_sorted_by_relevance_and_all_else_by_time(fields: dict[str, Any], key: SortKey) -> None:
    assert SearchCriteria(**fields).sort_key == key


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"quary": "x"}, "quary"),
        ({"query": "x" * 501}, "query"),
        ({"query": "nul\0"}, "U[+]0000"),
        ({"query": "\ud800"}, "query"),
        ({"filename": ""}, "filename"),
        ({"tags": ["x"] * 51}, "tags"),
        ({"tags": ["x" * 51]}, "tags"),
        ({"min_size": -1}, "min_size"),
        ({"min_size": 2**53}, "min_size"),
        ({"min_size": 2, "max_size": 1}, "min_size is larger than max_size"),
        ({"created_after": "2026-01-01T00:00:00"}, "created_after"),
        (
            {"created_after": "2026-01-01T00:00:00Z", "created_before": "2026-01-01T00:00:00Z"},
            "created_after is not before created_before",
        ),
        ({"content_type": "image"}, "content_type"),
        ({"content_type": "image/*; q=1"}, "content_type"),
        ({"retention_policy": "forever"}, "retention_policy"),
        ({"attributes": {"n": float("inf")}}, "attributes"),
        ({"attributes": {"n": 2**53}}, "2\\^53"),
        ({"attributes": {str(number): 1 for number in range(21)}}, "attributes"),
        ({"mode": "fuzzy"}, "mode"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": 1, "after": "x"}, "leave it out with after"),
        ({"sort_by": "size"}, "sort_by"),
        ({"sort_by": "relevance"}, "needs a query"),
        ({"sort_by": "relevance", "query": "x", "mode": "exact"}, "needs a query"),
        ({"sort_by": "relevance", "query": "x", "sort_order": "asc"}, "leave sort_order out"),
        ({"at_least": "x" * 101}, "at_least"),
    ],
)
def test_what_cannot_be_searched_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        SearchCriteria.model_validate(fields)


@pytest.mark.parametrize("text", ["se-01:1842", "a:b:0"])
def test_a_position_is_read_as_it_is_written(text: str) -> None:
    position = SearchCriteria(at_least=text).position

    assert position is not None
    assert str(position) == text


def test_a_position_names_an_element_and_a_sequence() -> None:
    assert JournalPosition.parse("se-01:1842") == JournalPosition("se-01", 1842)


@pytest.mark.parametrize(
    "text", ["", ":", "se-01", "se-01:", ":5", "se-01:x", "se-01:-1", "se-01:²", "a:" + "9" * 19]
)
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="se-01:1842"):
        JournalPosition.parse(text)
