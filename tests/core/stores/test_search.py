"""What a search answers beside the right files: order of relevance, marks, totals, cursors, refusals."""

import base64
from datetime import timedelta
from typing import Any

import pytest

from artstore.core.attributes import Retention
from artstore.core.journal import JournalEntry
from artstore.core.search import SearchCriteria, SearchPage
from artstore.core.spec import Database, InvalidRequestError, UnsupportedError
from artstore.core.stores.files import FilesStore
from artstore.core.stores.search import SearchStore
from tests.core.stores.databases import WithoutTextIndex
from tests.core.stores.entries import ELEMENT, EPOCH, created_at, entry, file_id


@pytest.fixture
def store(files: FilesStore, searches: SearchStore) -> "Archive":
    return Archive(files, searches)


class Archive:
    """Puts files in and looks for them."""

    def __init__(self, files: FilesStore, searches: SearchStore) -> None:
        self._files = files
        self._searches = searches

    async def put(self, *said: JournalEntry) -> None:
        await self._files.apply(ELEMENT, EPOCH, said, position=said[-1].sequence)

    async def search(self, **criteria: Any) -> SearchPage:
        return await self._searches.search(SearchCriteria.model_validate(criteria))

    async def numbers(self, **criteria: Any) -> list[int]:
        """The files found, as the numbers they were made of."""
        page = await self.search(**criteria)
        return [hit.file_id.int & 0xFFFF for hit in page.items]


class TestHits:
    async def test_a_hit_tells_all_that_is_known_of_the_file(self, store: Archive) -> None:
        expires_at = created_at(30)
        said = entry(
            1,
            original_filename="Отчёт.pdf",
            content_type="application/pdf",
            description="О продажах",
            tags=["акт", "2026"],
            custom_attributes={"n": 1, "deep": {"a": [None]}},
            created_by_fullname="Алиса",
            retention=Retention(policy="temporary", expires_at=expires_at),
        )
        await store.put(said)

        page = await store.search(sort_by="created_at")

        assert said.attributes is not None
        sidecar = said.attributes.model_dump(exclude={"retention"})
        hit = page.items[0].model_dump()
        assert {name: value for name, value in hit.items() if name in sidecar} == {
            name: value for name, value in sidecar.items() if name in hit
        }
        assert (hit["element_id"], hit["retention_policy"], hit["expires_at"]) == (
            ELEMENT,
            "temporary",
            expires_at,
        )

    async def test_found_words_are_marked_where_they_were_found(self, store: Archive) -> None:
        await store.put(
            entry(1, original_filename="договоры.txt", description="Договор <b>", tags=["о договоре"]),
        )

        hit = (await store.search(query="договора")).items[0]

        assert hit.highlights == {
            "original_filename": "<mark>договоры</mark>.txt",
            "description": "<mark>Договор</mark> &lt;b&gt;",
            "tags": "о <mark>договоре</mark>",
        }

    async def test_only_relevance_has_scores_and_only_fulltext_has_marks(self, store: Archive) -> None:
        await store.put(entry(1, description="договор"))

        by_relevance = (await store.search(query="договор")).items[0]
        by_time = (await store.search(query="договор", sort_by="created_at")).items[0]
        partial = (await store.search(query="догов", mode="partial")).items[0]

        assert (by_relevance.relevance_score or 0) > 0
        assert (by_time.relevance_score, set(by_time.highlights)) == (None, {"description"})
        assert (partial.relevance_score, partial.highlights) == (None, {})

    async def test_the_answer_says_how_far_the_index_is(self, store: Archive, files: FilesStore) -> None:
        await store.put(entry(1))
        await files.apply("se-00", EPOCH, [entry(2)], position=17)

        assert (await store.search()).index_position == ["se-00:17", "se-01:1"]

    async def test_many_hits_are_built_like_few(self, store: Archive) -> None:
        await store.put(*(entry(number, description="договор") for number in range(1, 31)))

        page = await store.search(query="договор", limit=30)

        assert [set(hit.highlights) for hit in page.items] == [{"description"}] * 30


class TestRelevance:
    async def test_a_word_in_the_name_counts_more_than_in_the_text(self, store: Archive) -> None:
        await store.put(
            entry(1, original_filename="договор.pdf", description="офис"),
            entry(2, original_filename="офис.pdf", description="договор"),
            *(entry(number, description="посторонний") for number in range(3, 20)),
        )

        assert await store.numbers(query="договора") == [1, 2]

    async def test_scores_fall_from_page_to_page(self, store: Archive) -> None:
        await store.put(*(entry(n, description="слово " * (n % 5 + 1) + "иное " * 9) for n in range(1, 13)))

        pages = [await store.search(query="слова", limit=5)]
        while pages[-1].next_after is not None:
            pages.append(await store.search(query="слова", limit=5, after=pages[-1].next_after))

        scores = [hit.relevance_score or 0 for page in pages for hit in page.items]
        assert [len(page.items) for page in pages] == [5, 5, 2]
        assert scores == sorted(scores, reverse=True)

    async def test_a_filter_does_not_hide_old_matches_behind_newer_ones(
        self, store: Archive, database: Database
    ) -> None:
        await store.put(
            entry(1, description="слово", created_by_username="bob"),
            *(entry(number, description="слово") for number in range(2, 30)),
        )
        narrow = SearchStore(database, window=5)

        page = await narrow.search(SearchCriteria(query="слово", username="bob"))

        assert [hit.file_id for hit in page.items] == [file_id(1)]


class TestMatching:
    @pytest.mark.parametrize("query", ["отчет", "ОТЧЁТ", "отчёты", "отчетами"])
    async def test_russian_words_are_found_in_every_form(self, store: Archive, query: str) -> None:
        await store.put(entry(1, original_filename="Отчёт за год.docx"), entry(2))

        assert await store.numbers(query=query) == [1]

    @pytest.mark.parametrize(
        "query",
        [
            "ПРИЕМКА.PDF",  # the name
            "о приемке оборудования",  # the description
            "срочно!",  # a tag
            "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
            "6B86B273FF34FCE19D6B804EFF5A3F5747ADA4EAA22F1D49C01E52DDB7875B4B",
            str(file_id(1)),
            str(file_id(1)).upper(),
            f"urn:uuid:{file_id(1)}",
        ],
    )
    async def test_exact_is_all_of_a_name_description_tag_checksum_or_id(
        self, store: Archive, query: str
    ) -> None:
        await store.put(
            entry(1, original_filename="Приёмка.pdf", description="О приёмке оборудования", tags=["СРОЧНО!"]),
            entry(2, original_filename="Приёмка.pdf.txt", description="О приёмке", tags=["срочно"]),
        )

        assert await store.numbers(query=query, mode="exact") == [1]

    @pytest.mark.parametrize(("part", "found"), [("%", [2]), ("_", [3]), ("!", [4]), ("a", [4, 3, 2, 1])])
    async def test_a_part_of_a_name_has_no_wildcards(
        self, store: Archive, part: str, found: list[int]
    ) -> None:
        names = ["ab.txt", "a%b.txt", "a_b.txt", "a!b.txt"]
        await store.put(*(entry(number, original_filename=name) for number, name in enumerate(names, 1)))

        assert await store.numbers(filename=part) == found

    async def test_a_long_part_of_a_name_is_looked_for_in_the_name_only(self, store: Archive) -> None:
        await store.put(
            entry(1, original_filename="Договор поставки.pdf"),
            entry(2, description="договор поставки"),
            entry(3, original_filename="договор  поставки.pdf"),
        )

        assert await store.numbers(filename="договор поставки") == [1]
        assert await store.numbers(filename="договор", query="поставка") == [3, 1]
        assert await store.numbers(filename="договор", query="поставк", mode="partial") == [3, 1]

    @pytest.mark.parametrize(
        ("value", "found"),
        [
            ("закупки", [1]),
            ("Закупки", []),
            (7, [2]),
            (7.0, [2]),
            ("7", []),
            (True, [3]),
            (1, []),
            (None, [4]),
            (["a", {"b": 1, "c": 2}], [5]),
            (["a", {"c": 2, "b": 1}], [5]),
            (["a"], []),
            ("x" * 5000, [6]),
            ("x" * 4999, []),
        ],
    )
    async def test_an_attribute_is_compared_as_json(
        self, store: Archive, value: Any, found: list[int]
    ) -> None:
        values: list[Any] = ["закупки", 7, True, None, ["a", {"b": 1, "c": 2}], "x" * 5000]
        await store.put(
            *(
                entry(number, custom_attributes={"which": each, "other": "закупки"})
                for number, each in enumerate(values, 1)
            )
        )

        assert await store.numbers(attributes={"which": value}) == found

    async def test_every_text_of_an_attribute_is_searched(self, store: Archive) -> None:
        await store.put(entry(1, custom_attributes={"a": {"b": ["Ромашка", 4217]}, "ключ": True}), entry(2))

        assert await store.numbers(query="ромашки") == [1]
        assert await store.numbers(query="4217") == [1]
        assert await store.numbers(query="ключ") == []

    async def test_a_time_of_creation_begins_and_ends_to_the_microsecond(self, store: Archive) -> None:
        await store.put(*(entry(number) for number in range(1, 6)))
        moment = timedelta(microseconds=1)

        assert await store.numbers(created_after=created_at(2), created_before=created_at(4)) == [3, 2]
        assert await store.numbers(created_after=created_at(4) + moment) == [5]
        assert await store.numbers(created_before=created_at(1) + moment) == [1]

    @pytest.mark.parametrize("query", ["!!!", "—", "*"])
    async def test_a_query_without_words_finds_nothing(self, store: Archive, query: str) -> None:
        await store.put(entry(1))

        page = await store.search(query=query)

        assert (page.items, page.total, page.total_relation) == ([], 0, "eq")

    @pytest.mark.parametrize("query", ["", "  ", None])
    async def test_an_empty_query_is_none(self, store: Archive, query: str | None) -> None:
        await store.put(entry(1), entry(2))

        assert await store.numbers(query=query) == [2, 1]


class TestPaging:
    async def test_a_cursor_is_not_moved_by_files_that_come_meanwhile(self, store: Archive) -> None:
        await store.put(*(entry(number) for number in range(1, 5)))
        first = await store.search(limit=2)
        await store.put(entry(5))

        assert await store.numbers(limit=2, after=first.next_after) == [2, 1]

    async def test_a_deleted_file_leaves_its_place_and_no_gap(self, store: Archive) -> None:
        await store.put(*(entry(number) for number in range(1, 5)))
        first = await store.search(limit=2, sort_by="filename")
        await store.put(entry(3, sequence=9, operation="delete"))

        assert await store.numbers(limit=2, sort_by="filename", after=first.next_after) == [2, 1]

    async def test_too_deep_an_offset_names_the_way_on(self, database: Database, store: Archive) -> None:
        await store.put(*(entry(number) for number in range(1, 8)))
        narrow = SearchStore(database, window=5)

        at_the_end = await narrow.search(SearchCriteria(offset=5, limit=1))

        assert [hit.file_id for hit in at_the_end.items] == [file_id(2)]
        with pytest.raises(InvalidRequestError, match="after"):
            await narrow.search(SearchCriteria(offset=6))

    async def test_beyond_the_end_there_is_nothing(self, store: Archive) -> None:
        await store.put(entry(1))

        page = await store.search(offset=10)

        assert (page.items, page.total, page.has_more) == ([], 1, False)

    @pytest.mark.parametrize(
        "after",
        [
            "",
            "x",
            "%%%",
            "é",
            "bnVsbA",
            base64.urlsafe_b64encode(b'["created_at","desc",1]').decode(),
            base64.urlsafe_b64encode(b'["created_at","desc","1",1]').decode(),
            base64.urlsafe_b64encode(b'["created_at","desc",1,-1]').decode(),
            base64.urlsafe_b64encode(b'["created_at","desc",1,9223372036854775808]').decode(),
            base64.urlsafe_b64encode(b'["created_at","desc",9223372036854775808,1]').decode(),
            base64.urlsafe_b64encode(b'["created_at","desc",true,1]').decode(),
            base64.urlsafe_b64encode(b'["nothing","desc",1,1]').decode(),
            base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        ],
    )
    async def test_a_cursor_that_is_none_is_refused(self, store: Archive, after: str) -> None:
        await store.put(entry(1))

        with pytest.raises(InvalidRequestError, match="next_after"):
            await store.search(after=after)

    async def test_a_cursor_of_another_order_is_refused(self, store: Archive) -> None:
        await store.put(entry(1), entry(2))
        page = await store.search(limit=1, sort_by="file_size")

        with pytest.raises(InvalidRequestError, match="file_size desc"):
            await store.search(limit=1, sort_by="filename", after=page.next_after)
        with pytest.raises(InvalidRequestError, match="file_size desc"):
            await store.search(limit=1, sort_by="file_size", sort_order="asc", after=page.next_after)


class TestWithoutTextIndex:
    @pytest.fixture
    def store(self, database: Database) -> Archive:
        lacking = WithoutTextIndex(database)
        return Archive(FilesStore(lacking), SearchStore(lacking))

    @pytest.mark.parametrize("mode", ["fulltext", "partial"])
    async def test_text_is_refused(self, store: Archive, mode: str) -> None:
        with pytest.raises(UnsupportedError, match="exact"):
            await store.search(query="word", mode=mode)

    async def test_everything_else_works(self, store: Archive) -> None:
        await store.put(entry(1, original_filename="договор.pdf"), entry(2))

        assert await store.numbers(query="договор.pdf", mode="exact") == [1]
        assert await store.numbers(filename="говор") == [1]

        await store.put(entry(1, sequence=3, operation="delete"))
        assert await store.numbers() == [2]
