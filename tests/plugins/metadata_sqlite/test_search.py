"""How this search index finds parts of names, and that it never sorts all that matches."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from artstore.core.spec import Database, TextDocument, TextMode
from artstore.plugins.metadata_sqlite import search
from artstore.plugins.metadata_sqlite.search import SqliteSearchIndex
from artstore.plugins.metadata_sqlite.words import index_stems


@pytest.fixture
async def database(
    open_database: Callable[[], AbstractAsyncContextManager[Database]],
) -> AsyncGenerator[Database, None]:
    async with open_database() as database, database.transaction() as transaction:
        await transaction.execute("CREATE TABLE files (row_id INTEGER PRIMARY KEY, size INTEGER)")
        await transaction.execute("CREATE INDEX files_by_size ON files (size)")
    async with open_database() as database:
        yield database


@pytest.mark.parametrize(
    ("text", "stems"),
    [
        ("AnnualReport2024.pdf", "annualreport2024 annual report 2024 pdf"),
        ("ДоговорыПоставки", "договорыпоставк договор поставк"),
        ("HTTPServer", "httpserver http server"),
        ("IMG20240312", "img20240312 img 20240312"),
        ("ОТЧЁТ", "отчет"),
        ("Résumés", "résumés"),
        ("_a-b.c", "a b c"),
        ("", ""),
    ],
)
def test_names_are_found_by_their_parts(text: str, stems: str) -> None:
    assert index_stems(text) == stems


@pytest.mark.parametrize(("query", "mode"), [("word", "fulltext"), ("ord", "partial"), ("or", "partial")])
@pytest.mark.parametrize("condition", ["TRUE", "files.size = 1"])
async def test_the_newest_matches_are_read_without_sorting(
    database: Database, query: str, mode: TextMode, condition: str
) -> None:
    match = SqliteSearchIndex().match_sql(query, mode)
    assert match is not None
    sql, parameters = match

    plan = await database.fetch_all(
        f"EXPLAIN QUERY PLAN SELECT * FROM ({sql}) AS matches CROSS JOIN files"
        f" WHERE files.row_id = matches.row_id AND {condition} ORDER BY matches.row_id DESC LIMIT 20",
        parameters,
    )

    steps = [str(row["detail"]) for row in plan]
    assert steps[0].startswith("SCAN text_")
    assert not [step for step in steps if "TEMP B-TREE" in step]


async def test_a_part_of_two_characters_is_looked_for_in_the_newest_documents(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SHORT_QUERY_DOCUMENTS", 3)
    index = SqliteSearchIndex()
    async with database.transaction() as transaction:
        # As far apart as row ids made of the time are.
        await index.put(transaction, [TextDocument(n << 40, "акт", "") for n in range(1, 6)])
    match = index.match_sql("ак", "partial")
    assert match is not None

    rows = await database.fetch_all(*match)

    assert sorted(int(row["row_id"] or 0) >> 40 for row in rows) == [3, 4, 5]
