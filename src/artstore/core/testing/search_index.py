"""What the full-text ability of a database must do, as tests its author runs by overriding one fixture."""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

import html
from collections.abc import AsyncGenerator, Sequence
from typing import Final

import pytest

from artstore.core.spec import Database, Parameter, SearchIndex, TextDocument, TextMode

ROWS: Final = 400
"""Row ids from 1 to this are used."""

SPECIAL_QUERIES: Final = [
    '"',
    '"""',
    'a"b" OR "c',
    "'",
    "*",
    "a*",
    "^a",
    "-a",
    "+a",
    "a OR",
    "AND",
    "NOT a",
    "NEAR(a b, 2)",
    "name:a",
    "{name text}:a",
    "a : b",
    "(a",
    "a & | ! <-> b",
    "a\\",
    "%",
    "_",
    "'; DROP TABLE text_stems; --",
    ":text_query ? %s %(a)s $1",
    "nul\0nul",
    "lone surrogate \ud800",
    "\ud800",
    "😀",
    "😀😀😀",
    "и\u0306",
    "\u0301",
    "﷽",
    "x" * 500,
    "ы " * 250,
    " ".join(f"word{number}" for number in range(60)),
]


class SearchIndexContract:
    """Override ``database`` with one whose search index and table ``contract_files`` may be changed."""

    @pytest.fixture
    def database(self) -> Database:
        """The database whose index is to be proven."""
        raise NotImplementedError("override this fixture")

    @pytest.fixture
    def index(self, database: Database) -> SearchIndex:
        """The index."""
        index = database.search_index
        assert index is not None, "the ability is missing"
        return index

    @pytest.fixture(autouse=True)
    async def files(self, database: Database, index: SearchIndex) -> AsyncGenerator[None, None]:
        """A table of rows that may be found."""
        async with database.transaction() as transaction:
            await transaction.execute("DROP TABLE IF EXISTS contract_files")
            await transaction.execute(
                "CREATE TABLE contract_files (row_id BIGINT PRIMARY KEY, is_even BIGINT)"
            )
            await transaction.executemany(
                "INSERT INTO contract_files (row_id, is_even) VALUES (:row_id, :is_even)",
                ({"row_id": row_id, "is_even": 1 - row_id % 2} for row_id in range(1, ROWS + 1)),
            )
        yield
        async with database.transaction() as transaction:
            await index.delete(transaction, range(1, ROWS + 1))
            await transaction.execute("DROP TABLE contract_files")

    @pytest.mark.parametrize(
        ("text", "query"),
        [
            ("Документ о приёмке", "документами"),
            ("подписаны документами", "документ"),
            ("контракты за год", "контракта"),
            ("условия контракта", "КОНТРАКТЫ"),
            ("running shoes", "run"),
            ("a good run", "Running"),
            ("архивы отдела", "архив"),
            ("архив", "архивами"),
            ("documents", "document"),
            ("Ёлка и мёд", "елки"),
            ("Елка", "ёлка"),
            ("Е\u0308лка", "ёлка"),  # a letter in two code points
            ("Счёт-фактура №1042 от 12.03.2024", "1042"),
            ("договор_поставки-2024.pdf", "поставка"),
            ("annual_report-2024.PDF", "reports pdf"),
            ("Отчёт about sales в Q3", "sale отчёты q3"),
            ("near and not or", "NOT near"),
            ("写真 資料", "資料"),
        ],
    )
    async def test_words_are_found_in_any_inflected_form(
        self, database: Database, index: SearchIndex, text: str, query: str
    ) -> None:
        await put(database, {1: ("", text), 2: ("unrelated.txt", "посторонний")})

        assert await found(database, query, "fulltext") == [1]

    async def test_every_word_must_occur_in_any_order_in_name_or_text(self, database: Database) -> None:
        await put(
            database,
            {
                1: ("договор аренды.pdf", "офис на Лесной"),
                2: ("договор поставки.pdf", "бумага"),
                3: ("офис.jpg", "Договор, аренда"),
            },
        )

        assert await found(database, "офис договора аренды", "fulltext") == [3, 1]

    async def test_a_part_of_a_word_is_not_a_word(self, database: Database) -> None:
        await put(database, {1: ("", "договор")})

        assert await found(database, "говор", "fulltext") == []

    @pytest.mark.parametrize(
        ("text", "query"),
        [
            ("ДОГОВОРЁННОСТЬ", "говорен"),
            ("договоренность", "ГОВОРЁН"),
            ("Straße 5", "STRASSE"),
            ("IMG_20240312_1042.jpeg", "0312_10"),
            ("100% хлопок", "0% хлоп"),
            ('она "сказала": да', '"сказала":'),
            ("it's here", "t's h"),
            ("ООО  Ромашка\nи Ко", "ромашка и"),
            ("写真資料集", "真資料"),
        ],
    )
    async def test_a_part_is_found_case_insensitively(
        self, database: Database, text: str, query: str
    ) -> None:
        await put(database, {1: (text, ""), 2: ("", text), 3: ("unrelated", "посторонний")})

        assert await found(database, query, "partial") == [2, 1]

    @pytest.mark.parametrize("query", ["ИП", "ё", "№", "0%", "7"])
    async def test_a_part_of_one_or_two_characters_is_found(self, database: Database, query: str) -> None:
        await put(database, {1: ("ип Ёлкин", "№ 7, 100%"), 2: ("", "_axb")})

        assert await found(database, query, "partial") == [1]

    @pytest.mark.parametrize("query", ["a_b", "a%b", "%", "_", "a*b", "a b"])
    async def test_a_part_has_no_wildcards(self, database: Database, query: str) -> None:
        await put(database, {1: ("axb.txt", "axxb")})

        assert await found(database, query, "partial") == []

    async def test_a_part_does_not_reach_from_the_name_into_the_text(self, database: Database) -> None:
        await put(database, {1: ("name", "text")})

        assert await found(database, "name text", "partial") == []

    @pytest.mark.parametrize("mode", ["fulltext", "partial"])
    @pytest.mark.parametrize("query", ["", " \t\n"])
    def test_an_empty_query_looks_for_nothing(self, index: SearchIndex, query: str, mode: TextMode) -> None:
        assert index.match_sql(query, mode) is None

    async def test_a_query_without_words_looks_for_nothing(
        self, database: Database, index: SearchIndex
    ) -> None:
        assert index.match_sql('*-"', "fulltext") is None
        assert await index.rank(database, '*-"', candidates=10, limit=10, offset=0) == []
        assert index.highlight('*-"', "text") is None

    @pytest.mark.parametrize("query", SPECIAL_QUERIES)
    async def test_special_characters_are_no_syntax(
        self, database: Database, index: SearchIndex, query: str
    ) -> None:
        await put(database, {1: ("посторонние", "unrelated")})

        assert await found(database, query, "fulltext") == []
        assert await found(database, query, "partial") == []
        assert await index.rank(database, query, candidates=10, limit=10, offset=0) == []
        assert index.highlight(query, "unrelated") is None

    async def test_documents_are_replaced(self, database: Database) -> None:
        await put(database, {1: ("old name", "old text")})
        await put(database, {1: ("new name", "new text")})

        assert await found(database, "old", "fulltext") == []
        assert await found(database, "old", "partial") == []
        assert await found(database, "new", "fulltext") == [1]
        assert await found(database, "new", "partial") == [1]

    async def test_documents_are_deleted_once_or_twice(self, database: Database, index: SearchIndex) -> None:
        await put(database, {1: ("first", ""), 2: ("second first", "")})

        for _ in range(2):
            async with database.transaction() as transaction:
                await index.delete(transaction, [2, 3])

        assert await found(database, "first", "fulltext") == [1]
        assert await found(database, "first", "partial") == [1]

    async def test_a_transaction_that_raises_leaves_the_index_as_it_was(
        self, database: Database, index: SearchIndex
    ) -> None:
        await put(database, {1: ("first", ""), 2: ("first", "")})

        async def change_and_raise() -> None:
            async with database.transaction() as transaction:
                await index.put(transaction, [TextDocument(3, "first", ""), TextDocument(1, "second", "")])
                await index.delete(transaction, [2])
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await change_and_raise()

        assert await found(database, "first", "fulltext") == [2, 1]
        assert await found(database, "first", "partial") == [2, 1]
        assert await found(database, "second", "fulltext") == []

    @pytest.mark.parametrize(
        ("query", "mode"), [("common", "fulltext"), ("omm", "partial"), ("m", "partial")]
    )
    async def test_the_newest_are_found_first_whatever_order_they_came_in(
        self, database: Database, query: str, mode: TextMode
    ) -> None:
        await put(database, {row_id: ("common", "") for row_id in range(1, ROWS + 1, 2)})
        await put(database, {row_id: ("common", "") for row_id in range(2, ROWS + 1, 2)})

        assert await found(database, query, mode, limit=5) == list(range(ROWS, ROWS - 5, -1))
        assert len(await found(database, query, mode)) == ROWS

    @pytest.mark.parametrize(
        ("query", "mode"), [("common", "fulltext"), ("omm", "partial"), ("m", "partial")]
    )
    async def test_matches_are_used_in_a_larger_statement(
        self, database: Database, index: SearchIndex, query: str, mode: TextMode
    ) -> None:
        await put(database, {row_id: ("common", "") for row_id in range(1, 11)})
        match = index.match_sql(query, mode)
        assert match is not None
        sql, parameters = match

        rows = await database.fetch_all(
            "SELECT contract_files.row_id FROM"
            f" (SELECT row_id FROM ({sql}) AS newest ORDER BY row_id DESC LIMIT :candidates) AS matches"
            " CROSS JOIN contract_files"
            " WHERE contract_files.row_id = matches.row_id AND contract_files.is_even = :is_even"
            " ORDER BY contract_files.row_id LIMIT :limit",
            {**parameters, "candidates": 6, "is_even": 1, "limit": 2},
        )
        members = await database.fetch_all(
            f"SELECT row_id FROM contract_files WHERE row_id IN ({sql}) ORDER BY row_id", parameters
        )

        assert [row["row_id"] for row in rows] == [6, 8]
        assert [row["row_id"] for row in members] == list(range(1, 11))

    async def test_a_match_in_the_name_ranks_above_one_in_the_text(
        self, database: Database, index: SearchIndex
    ) -> None:
        await put(
            database,
            {
                1: ("договоры.pdf", "офис бумага"),
                2: ("офис.pdf", "договора бумага"),
                **{row_id: ("посторонний.pdf", "текст бумага") for row_id in range(3, 20)},
            },
        )

        matches = await index.rank(database, "договор", candidates=100, limit=10, offset=0)

        assert [match.row_id for match in matches] == [1, 2]
        assert matches[0].score > matches[1].score

    async def test_ranked_matches_come_in_pages_best_first(
        self, database: Database, index: SearchIndex
    ) -> None:
        await put(
            database, {row_id: ("name", "word " * (row_id % 7) + "filler " * 9) for row_id in range(1, 30)}
        )

        everything = await index.rank(database, "words", candidates=100, limit=100, offset=0)
        pages = [
            await index.rank(database, "words", candidates=100, limit=10, offset=offset)
            for offset in (0, 10, 20, 30)
        ]

        assert len(everything) == 25
        assert [match.score for match in everything] == sorted((m.score for m in everything), reverse=True)
        assert [match for page in pages for match in page] == list(everything)

    async def test_only_the_newest_candidates_are_ranked(
        self, database: Database, index: SearchIndex
    ) -> None:
        await put(database, {1: ("word word word", ""), **{n: ("", f"word {n}") for n in range(2, 31)}})

        matches = await index.rank(database, "word", candidates=5, limit=100, offset=0)

        assert sorted(match.row_id for match in matches) == [26, 27, 28, 29, 30]

    async def test_only_rows_within_a_statement_are_ranked(
        self, database: Database, index: SearchIndex
    ) -> None:
        await put(database, {row_id: (f"word {row_id}", "") for row_id in range(1, 31)})
        even = "SELECT row_id FROM contract_files WHERE is_even = :even"

        matches = await index.rank(
            database, "word", candidates=5, limit=100, offset=0, within=(even, {"even": 1})
        )

        assert sorted(match.row_id for match in matches) == [22, 24, 26, 28, 30]

    async def test_the_newest_matches_can_be_what_is_ranked(
        self, database: Database, index: SearchIndex
    ) -> None:
        await put(database, {row_id: (f"word {row_id}", "") for row_id in range(1, 31)})
        matching = index.match_sql("words", "fulltext")
        assert matching is not None
        sql, parameters = matching
        newest = f"SELECT row_id FROM ({sql}) AS newest ORDER BY row_id DESC LIMIT :newest"

        matches = await index.rank(
            database,
            "words",
            candidates=100,
            limit=100,
            offset=0,
            within=(newest, {**parameters, "newest": 3}),
        )

        assert sorted(match.row_id for match in matches) == [28, 29, 30]

    async def test_a_transaction_ranks_what_it_wrote(self, database: Database, index: SearchIndex) -> None:
        async with database.transaction() as transaction:
            await index.put(transaction, [TextDocument(1, "word", "")])

            matches = await index.rank(transaction, "word", candidates=5, limit=5, offset=0)

        assert [match.row_id for match in matches] == [1]

    def test_matching_words_are_marked_in_any_inflected_form(self, index: SearchIndex) -> None:
        marked = index.highlight("договор поставка", "О договорах: поставки, и «ДОГОВОРЫ».")

        assert marked == ("О <mark>договорах</mark>: <mark>поставки</mark>, и «<mark>ДОГОВОРЫ</mark>».")

    def test_everything_but_the_marks_is_escaped(self, index: SearchIndex) -> None:
        marked = index.highlight("mark", "<script>alert('&')</script> <mark>x</mark> & <b>")

        assert marked is not None
        assert not {"<", ">"} & set(marked.replace("<mark>", "").replace("</mark>", ""))
        assert marked.count("<mark>mark</mark>") == 2
        assert plain(marked) == "<script>alert('&')</script> <mark>x</mark> & <b>"

    @pytest.mark.parametrize("filler", ["слово ", "слово", "a\n"], ids=["words", "no spaces", "lines"])
    @pytest.mark.parametrize("before", [0, 30, 1000])
    @pytest.mark.parametrize("after", [0, 30, 1000])
    def test_a_fragment_is_at_most_200_characters_around_the_first_match(
        self, index: SearchIndex, filler: str, before: int, after: int
    ) -> None:
        text = filler * before + " контрактами " + filler * after

        marked = index.highlight("контракт", text)

        assert marked is not None
        assert marked.count("<mark>контрактами</mark>") == 1
        assert plain(marked) in text
        assert min(100, len(text)) <= len(plain(marked)) <= 200

    def test_words_beyond_the_fragment_are_left_out(self, index: SearchIndex) -> None:
        marked = index.highlight("контракт", "контракты " * 100)

        assert marked is not None
        assert plain(marked).split() == ["контракты"] * marked.count("<mark>контракты</mark>")
        assert len(plain(marked)) <= 200

    def test_a_matching_word_longer_than_a_fragment_is_cut(self, index: SearchIndex) -> None:
        marked = index.highlight("ж" * 300, "слово " + "ж" * 300 + " слово")

        assert marked is not None
        assert marked.count("<mark>") == 1
        assert len(plain(marked)) <= 200

    def test_nothing_is_highlighted_where_no_word_matches(self, index: SearchIndex) -> None:
        assert index.highlight("контракт", "О договорах") is None
        assert index.highlight("контракт", "") is None


async def put(database: Database, documents: dict[int, tuple[str, str]]) -> None:
    """Index ``documents``, names and texts by their row id."""
    index = database.search_index
    assert index is not None
    async with database.transaction() as transaction:
        await index.put(
            transaction, (TextDocument(row_id, name, text) for row_id, (name, text) in documents.items())
        )


async def found(database: Database, query: str, mode: TextMode, *, limit: int = ROWS) -> Sequence[Parameter]:
    """The row ids that match, newest first."""
    index = database.search_index
    assert index is not None
    match = index.match_sql(query, mode)
    if match is None:
        return []
    sql, parameters = match
    rows = await database.fetch_all(
        f"SELECT contract_files.row_id FROM ({sql}) AS matches CROSS JOIN contract_files"
        " WHERE contract_files.row_id = matches.row_id ORDER BY matches.row_id DESC LIMIT :limit",
        {**parameters, "limit": limit},
    )
    return [row["row_id"] for row in rows]


def plain(marked: str) -> str:
    """A highlighted fragment without its marks."""
    return html.unescape(marked.replace("<mark>", "").replace("</mark>", ""))
