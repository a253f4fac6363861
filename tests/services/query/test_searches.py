"""Searches and metadata over HTTP."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest

from artstore.core.ids import new_file_id
from tests.services.query.harness import Querying

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def querying(shared_querying: Querying) -> Querying:
    """One cluster for all tests of this module: none of them changes it but by storing files."""
    return shared_querying


@pytest.fixture
def tag() -> str:
    """Tells the files of one test from those of the others."""
    return uuid4().hex


async def test_words_are_found_by_their_stems_in_both_languages(querying: Querying, tag: str) -> None:
    await querying.stored(name="годовые отчёты.txt", tags=[tag])
    await querying.stored(name="meetings.txt", tags=[tag])

    assert await querying.found(query="отчёт за год", tags=[tag]) == []
    assert await querying.found(query="годовой отчёт", tags=[tag]) == ["годовые отчёты.txt"]
    assert await querying.found(query="meeting", tags=[tag]) == ["meetings.txt"]


@pytest.mark.parametrize(
    ("criteria", "names"),
    [
        ({"query": "port", "mode": "partial"}, ["report.pdf"]),
        ({"query": "report.pdf", "mode": "exact"}, ["report.pdf"]),
        ({"file_extension": "TXT"}, ["notes.txt"]),
        ({"content_type": "application/pdf"}, ["report.pdf"]),
        ({"min_size": 5}, ["report.pdf"]),
        ({"max_size": 4}, ["notes.txt"]),
        ({"attributes": {"n": 1}}, ["notes.txt"]),
        ({"username": "administrator"}, ["notes.txt", "report.pdf"]),
        ({"created_before": "2020-01-01T00:00:00Z"}, []),
        ({"retention_policy": "temporary"}, []),
    ],
)
async def test_every_criterion_narrows_the_search(
    querying: Querying, tag: str, criteria: Mapping[str, Any], names: list[str]
) -> None:
    await querying.stored(b"12345", name="report.pdf", content_type="application/pdf", tags=[tag])
    await querying.stored(b"1234", name="notes.txt", custom_attributes={"n": 1}, tags=[tag])

    assert await querying.found(tags=[tag], **criteria) == names


async def test_pages_follow_one_another(querying: Querying, tag: str) -> None:
    for number in range(5):
        await querying.stored(name=f"{number}.txt", tags=[tag])

    first = (await querying.search(tags=[tag], limit=3)).json()
    second = (await querying.search(tags=[tag], limit=3, after=first["next_after"])).json()

    names = [hit["original_filename"] for page in (first, second) for hit in page["items"]]
    assert names == ["4.txt", "3.txt", "2.txt", "1.txt", "0.txt"]
    assert (first["has_more"], second["has_more"], first["total"]) == (True, False, 5)


async def test_a_url_searches_like_a_body(querying: Querying, tag: str) -> None:
    await querying.stored(name="quarterly report.txt", tags=[tag])
    await querying.stored(name="other.txt", tags=[tag])

    answer = await querying.get("/api/v1/search", q="reports", tags=tag, limit="10")

    assert [hit["original_filename"] for hit in answer.json()["items"]] == ["quarterly report.txt"]


async def test_a_search_can_wait_for_a_position(querying: Querying, tag: str) -> None:
    file = await querying.stored(name="seen.txt", tags=[tag])
    registered = await querying.roles.request("GET", f"{querying.admin.url}/api/v1/files/{file['file_id']}")

    names = await querying.found(tags=[tag], at_least=registered.json()["position"])

    assert names == ["seen.txt"]


@pytest.mark.parametrize(
    ("criteria", "path"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": "10"}, "limit"),
        ({"offset": -1}, "offset"),
        ({"querry": "x"}, "querry"),
        ({"query": "x" * 501}, "query"),
        ({"mode": "fuzzy"}, "mode"),
        ({"min_size": 2, "max_size": 1}, ""),
        ({"created_after": "yesterday"}, "created_after"),
    ],
)
async def test_a_wrong_criterion_is_named(querying: Querying, criteria: Mapping[str, Any], path: str) -> None:
    answer = await querying.search(**criteria)

    assert (answer.status, answer.problem) == (400, "invalid-request")
    assert answer.json()["errors"][0]["path"] == path


@pytest.mark.parametrize("at_least", ["se-01", "se-01:x", "nobody:1", ":1"])
async def test_a_position_that_is_none_is_refused(querying: Querying, at_least: str) -> None:
    answer = await querying.search(at_least=at_least)

    assert (answer.status, answer.problem) == (400, "invalid-request")


@pytest.mark.parametrize("query", ["limit=0", "q=a&q=b", "sort_by=relevance", "page=1", "q=%00"])
async def test_a_wrong_parameter_is_refused(querying: Querying, query: str) -> None:
    answer = await querying.get(f"/api/v1/search?{query}")

    assert (answer.status, answer.problem) == (400, "invalid-request")


async def test_malformed_json_is_refused(querying: Querying) -> None:
    answer = await querying.roles.request(
        "POST",
        f"{querying.query.url}/api/v1/search",
        data=b"{",
        headers={"Content-Type": "application/json"},
    )

    assert (answer.status, answer.problem) == (400, "invalid-request")


async def test_what_is_known_of_a_file_is_told(querying: Querying) -> None:
    file = await querying.stored(
        b"12345", name="отчёт.txt", description="d", tags=["t"], custom_attributes={"n": 1}
    )

    answer = await querying.get(f"/api/v1/files/{file['file_id']}")

    known = answer.json()
    assert answer.headers["ETag"] == '"1"'
    assert (known["original_filename"], known["file_size"], known["checksum"]) == (
        "отчёт.txt",
        5,
        file["checksum"],
    )
    assert (known["description"], known["tags"], known["custom_attributes"]) == ("d", ["t"], {"n": 1})
    assert (known["retention_policy"], known["element_id"], known["version"]) == ("permanent", "se-01", 1)


async def test_metadata_that_the_client_has_is_not_sent_again(querying: Querying) -> None:
    file = await querying.stored()
    path = f"/api/v1/files/{file['file_id']}"

    same = await querying.get(path, headers={"If-None-Match": '"1"'})
    other = await querying.get(path, headers={"If-None-Match": '"2"'})

    assert (same.status, same.body, same.headers["ETag"]) == (304, b"", '"1"')
    assert other.status == 200


async def test_an_unknown_file_is_not_found(querying: Querying) -> None:
    file_id = new_file_id()

    metadata = await querying.get(f"/api/v1/files/{file_id}")
    content = await querying.download(file_id)

    assert (metadata.status, metadata.problem) == (content.status, content.problem) == (404, "not-found")


async def test_what_is_no_id_is_refused(querying: Querying) -> None:
    answer = await querying.get("/api/v1/files/nonsense")

    assert (answer.status, answer.problem) == (400, "invalid-request")


@pytest.mark.parametrize("path", ["/api/v1/search?q=a", f"/api/v1/files/{UUID(int=1)}/download"])
async def test_who_may_not_read_is_told_what_is_missing(querying: Querying, path: str) -> None:
    answer = await querying.get(path, token=await querying.roles.token("query"))

    assert (answer.status, answer.problem) == (403, "forbidden")
    assert "files:read" in answer.headers["WWW-Authenticate"]


async def test_searches_are_timed_by_mode_and_outcome(querying: Querying) -> None:
    name = "search_duration_seconds_count"
    answered = await querying.metric(name, mode="partial", outcome="answered")
    refused = await querying.metric(name, mode="exact", outcome="refused")

    await querying.search(query="a", mode="partial")
    await querying.search(query="a", mode="exact", at_least="nobody:1")

    assert await querying.metric(name, mode="partial", outcome="answered") == answered + 1
    assert await querying.metric(name, mode="exact", outcome="refused") == refused + 1
