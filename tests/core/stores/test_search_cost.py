"""A search costs as much as its window and its page, not as much as there are files that match.

Costs are counted in steps of SQLite's virtual machine, which are the same on every machine.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from artstore.core.search import SEARCH_WINDOW, SearchCriteria
from artstore.core.spec import Database, Parameters
from artstore.core.stores.files import FilesStore
from artstore.core.stores.search import SearchStore
from tests.core.stores.databases import Recording
from tests.core.stores.entries import ELEMENT, EPOCH, entry

WINDOW: Final = 40
FEW: Final = 200
MANY: Final = 1600
"""Eight times as many matches, and in every case more than the window holds."""

COMMON: Final[Sequence[dict[str, Any]]] = [
    {"query": "договор"},
    {"query": "договор", "offset": WINDOW - 10},
    {"query": "договор аренда"},
    {"query": "договор", "sort_by": "created_at"},
    {"query": "договор", "sort_by": "created_at", "sort_order": "asc"},
    {"query": "договор", "sort_by": "file_size"},
    {"query": "договор", "sort_by": "filename", "sort_order": "asc"},
    {"query": "оговор", "mode": "partial"},
    {"query": "оговор", "mode": "partial", "sort_by": "updated_at"},
    {"query": "акт", "mode": "exact"},
    {"query": "акт", "mode": "exact", "sort_by": "file_size"},
    {"query": "договор", "username": "alice"},
    {"query": "договор", "tags": ["акт"], "sort_by": "created_at"},
    {"filename": "договор"},
    {"tags": ["акт"]},
    {"tags": ["акт"], "sort_by": "filename"},
    {"username": "alice", "retention_policy": "permanent", "sort_by": "file_size"},
    {"attributes": {"department": "закупки"}},
    {"content_type": "text/*", "sort_by": "updated_at"},
    {"min_size": 1, "sort_by": "created_at"},
    {"min_size": 1, "sort_by": "file_size"},
    {},
    {"sort_by": "updated_at", "sort_order": "asc"},
]


async def fill(database: Database, count: int) -> None:
    """Files that all match."""
    said = [
        entry(
            number,
            original_filename=f"договор аренды {number}.txt",
            tags=["акт"],
            custom_attributes={"department": "закупки"},
        )
        for number in range(1, count + 1)
    ]
    await FilesStore(database).apply(ELEMENT, EPOCH, said, position=count)


async def statements_of(
    database: Database, criteria: dict[str, Any], *, window: int = SEARCH_WINDOW
) -> Sequence[tuple[str, Parameters]]:
    recording = Recording(database)
    page = await SearchStore(recording, window=window).search(SearchCriteria(limit=10, **criteria))
    assert len(page.items) == 10
    return recording.statements


def steps(path: Path, statements: Sequence[tuple[str, Parameters]]) -> int:
    taken = 0

    def step() -> None:
        nonlocal taken
        taken += 1

    with closing(sqlite3.connect(path)) as connection:
        connection.set_progress_handler(step, 1)
        for sql, parameters in statements:
            connection.execute(sql, dict(parameters)).fetchall()
    return taken


async def test_what_all_files_have_costs_no_more_when_there_are_eight_times_as_many(
    database: Database, database_path: Path
) -> None:
    costs: list[list[int]] = []
    for count in (FEW, MANY):
        await fill(database, count)
        searches = [await statements_of(database, criteria, window=WINDOW) for criteria in COMMON]
        costs.append([steps(database_path, statements) for statements in searches])

    grown = [
        (criteria, few, many) for criteria, few, many in zip(COMMON, *costs, strict=True) if many > 1.2 * few
    ]
    assert grown == []


@pytest.mark.parametrize("column", ["updated_at", "file_size", "filename_folded"])
@pytest.mark.parametrize("direction", ["DESC", "ASC"])
async def test_every_order_has_an_index(database: Database, column: str, direction: str) -> None:
    plan = await database.fetch_all(
        f"EXPLAIN QUERY PLAN SELECT f.row_id FROM files AS f WHERE f.retention_policy || '' = 'permanent'"
        f" AND (f.{column}, f.row_id) < (:value, :row_id)"
        f" ORDER BY f.{column} {direction}, f.row_id {direction} LIMIT 10",
        {"value": 1, "row_id": 1},
    )

    assert [row["detail"] for row in plan] == [f"SEARCH f USING INDEX files_{column} ({column}<?)"]


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ("files", "element_id = 'x'"),
        ("files", "filename_folded = 'x'"),
        ("files", "file_extension = 'x'"),
        ("files", "content_type = 'x'"),
        ("files", "checksum = 'x'"),
        ("files", "description_digest = 'x'"),
        ("files", "created_by_username = 'x'"),
        ("files", "retention_policy = 'x'"),
        ("file_tags", "tag = 'x'"),
        ("file_attributes", "name = 'x' AND value = 'x'"),
    ],
)
async def test_every_filter_has_an_index_that_gives_the_newest_first(
    database: Database, table: str, where: str
) -> None:
    plan = await database.fetch_all(
        f"EXPLAIN QUERY PLAN SELECT row_id FROM {table} WHERE {where} ORDER BY row_id DESC LIMIT 10"
    )

    details = [str(row["detail"]) for row in plan]
    assert len(details) == 1
    assert "USING COVERING INDEX" in details[0]


async def test_what_few_files_have_is_not_looked_for_among_all(
    database: Database, database_path: Path
) -> None:
    await fill(database, MANY)
    rare = [
        entry(
            MANY + number,
            sequence=MANY + number,
            description="редкость",
            created_by_username="bob",
            file_size=10**9,
        )
        for number in range(1, 11)
    ]
    await FilesStore(database).apply(ELEMENT, EPOCH, rare, position=MANY + 10)

    for criteria in (
        {"query": "редкость"},
        {"query": "редкость", "sort_by": "file_size"},
        {"username": "bob", "sort_by": "filename"},
        {"min_size": 10**9},
    ):
        statements = await statements_of(database, criteria)

        assert steps(database_path, statements) < MANY, criteria
