"""Every search of a small archive finds what a plain loop over its documents finds."""

from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from artstore.core.search import SearchCriteria, SearchMode, SearchPage, SortKey
from artstore.core.spec import Database
from artstore.core.stores.files import FilesStore
from artstore.core.stores.search import SearchStore
from tests.core.stores.archive import (
    DEPARTMENTS,
    EXTENSIONS,
    SIZE,
    STEMS,
    TAGS,
    USERS,
    documents,
    entries,
    expected,
    plain,
)
from tests.core.stores.entries import ELEMENT, EPOCH, created_at

NARROW = 4
"""A window that most searches of the archive overflow."""


@pytest.fixture
async def archive(database: Database) -> Database:
    await FilesStore(database).apply(ELEMENT, EPOCH, entries(), position=SIZE)
    return database


def _queries() -> st.SearchStrategy[dict[str, Any]]:
    nothing: dict[str, Any] = {}
    words = st.sampled_from([form for forms in STEMS for form in forms])
    wholes = st.sampled_from(
        [
            text
            for document in documents()[:20]
            for text in (document.original_filename, document.description, document.checksum, *document.tags)
            if text
        ]
    )
    parts = st.sampled_from(["дого", "ОГОВ", "ёт", "_3.", "epor", "pdf", "закуп", "а", "приём"])
    fulltext = st.lists(words, min_size=1, max_size=2).map(" ".join)
    return st.one_of(
        st.just(nothing),
        st.fixed_dictionaries({"query": fulltext, "mode": st.just("fulltext")}),
        st.fixed_dictionaries({"query": parts, "mode": st.just("partial")}),
        st.fixed_dictionaries({"query": wholes, "mode": st.just("exact")}),
    )


def _filters() -> st.SearchStrategy[dict[str, Any]]:
    times = st.integers(0, SIZE).map(lambda minute: created_at(minute) + timedelta(seconds=minute % 2))
    sizes = st.sampled_from([0, 1, 10, 500, 10**6])
    return st.fixed_dictionaries(
        {},
        optional={
            "filename": st.sampled_from(["_1", "дог", "договор", "REPORT", "чёт", "%", "_"]),
            "file_extension": st.sampled_from([*EXTENSIONS, ".Pdf", "doc"]),
            "tags": st.lists(st.sampled_from([*TAGS, "SCAN", "нет"]), min_size=1, max_size=2),
            "username": st.sampled_from([*USERS, "Alice"]),
            "min_size": sizes,
            "max_size": sizes,
            "created_after": times,
            "created_before": times,
            "content_type": st.sampled_from(["image/*", "application/pdf", "text/plain", "*/*", "video/*"]),
            "retention_policy": st.sampled_from(["temporary", "permanent"]),
            "attributes": st.sampled_from(DEPARTMENTS).map(lambda value: {"department": value}),
        },
    )


def _is_valid(fields: dict[str, Any]) -> bool:
    """Empty ranges and the relevance of nothing are refused."""
    try:
        SearchCriteria.model_validate(fields)
    except ValidationError:
        return False
    return True


def _merged(parts: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    return {name: value for part in parts for name, value in part.items()}


def _orders() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"sort_order": st.sampled_from(["asc", "desc"])},
        optional={"sort_by": st.sampled_from(get_args(SortKey))},
    )


SEARCHES = (
    st.tuples(_queries(), _filters(), _orders())
    .map(_merged)
    .filter(_is_valid)
    .map(SearchCriteria.model_validate)
)


async def walk(store: SearchStore, criteria: SearchCriteria) -> list[SearchPage]:
    """Every page, by cursor."""
    pages = [await store.search(criteria)]
    while pages[-1].next_after is not None:
        pages.append(await store.search(criteria.model_copy(update={"after": pages[-1].next_after})))
    return pages


MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@MANY
@given(criteria=SEARCHES, limit=st.integers(4, 20))
async def test_what_is_found_in_pages_is_what_matches_in_the_order_asked_for(
    archive: Database, criteria: SearchCriteria, limit: int
) -> None:
    wanted = [document.file_id for document in expected(criteria)]

    pages = await walk(SearchStore(archive), criteria.model_copy(update={"limit": limit}))

    found = [hit.file_id for page in pages for hit in page.items]
    if criteria.sort_key == "relevance":
        assert sorted(found) == sorted(wanted)
    else:
        assert found == wanted
    assert {(page.total, page.total_relation) for page in pages} == {(len(wanted), "eq")}
    assert [page.has_more for page in pages] == [True] * (len(pages) - 1) + [False]


@MANY
@given(criteria=SEARCHES, offset=st.integers(0, 12), limit=st.integers(4, 20))
async def test_an_offset_gives_a_slice_of_the_whole(
    archive: Database, criteria: SearchCriteria, offset: int, limit: int
) -> None:
    store = SearchStore(archive)
    whole = await store.search(criteria)

    page = await store.search(criteria.model_copy(update={"offset": offset, "limit": limit}))

    assert page.items == whole.items[offset : offset + limit]
    assert page.has_more == (whole.total > offset + limit)
    assert page.total == whole.total


@MANY
@given(criteria=SEARCHES, limit=st.integers(4, 20))
async def test_beyond_the_window_order_is_kept_and_totals_are_lower_bounds(
    archive: Database, criteria: SearchCriteria, limit: int
) -> None:
    wanted = [document.file_id for document in expected(criteria)]

    pages = await walk(SearchStore(archive, window=NARROW), criteria.model_copy(update={"limit": limit}))

    found = [hit.file_id for page in pages for hit in page.items]
    is_text = (criteria.text and criteria.mode != "exact") or criteria.filename is not None
    if criteria.sort_key != "created_at" and is_text:
        assert set(found) <= set(wanted)
        assert len(set(found)) == len(found) >= min(len(wanted), NARROW)
    else:
        assert found == wanted
    for page in pages:
        assert page.total <= len(wanted)
        assert page.total == len(wanted) or page.total_relation == "gte"


@MANY
@given(criteria=SEARCHES)
async def test_of_more_matches_than_the_window_holds_the_newest_are_sorted(
    archive: Database, criteria: SearchCriteria
) -> None:
    newest_first = criteria.model_copy(update={"sort_by": "created_at", "sort_order": "desc"})
    newest = {document.file_id for document in expected(newest_first)[:NARROW]}
    is_text = bool(criteria.text) and criteria.mode != "exact"
    if criteria.sort_key == "created_at" or not is_text:
        return

    pages = await walk(SearchStore(archive, window=NARROW), criteria)

    found = [hit.file_id for page in pages for hit in page.items]
    wanted = [document.file_id for document in expected(criteria)]
    if criteria.sort_key == "relevance":
        assert newest <= set(found)
    else:
        assert found in ([each for each in wanted if each in newest], wanted)


@pytest.mark.parametrize("mode", get_args(SearchMode))
async def test_the_archive_is_varied_enough_to_prove_something(archive: Database, mode: SearchMode) -> None:
    query = {"exact": "акт", "partial": "догов", "fulltext": "договоры"}[mode]

    page = await SearchStore(archive).search(SearchCriteria(query=query, mode=mode))

    assert NARROW < page.total < SIZE
    assert any(plain(query) not in plain(hit.original_filename) for hit in page.items)
