"""The journal over HTTP: what a follower learns, and when."""

import asyncio
from time import monotonic

from tests.services.storage_element.harness import TEMPORARY, ElementClient, StartElement


async def test_every_change_is_an_entry_without_gaps(element: ElementClient) -> None:
    stored = await element.stored(b"data", **TEMPORARY)
    file_id = stored["file_id"]
    await element.request("PATCH", f"/api/v1/files/{file_id}", json={"tags": ["new"]})
    await element.request("DELETE", f"/api/v1/files/{file_id}")

    page = await element.get("/api/v1/journal")

    assert [(e["sequence"], e["operation"], e["file_id"]) for e in page["items"]] == [
        (1, "create", file_id),
        (2, "update", file_id),
        (3, "delete", file_id),
    ]
    assert (page["element_id"], page["last_sequence"], page["has_more"]) == ("se-01", 3, False)


async def test_entries_carry_the_attributes_as_they_are_now(element: ElementClient) -> None:
    stored = await element.stored(b"data")
    answer = await element.request("PATCH", f"/api/v1/files/{stored['file_id']}", json={"tags": ["new"]})

    first, second = (await element.get("/api/v1/journal"))["items"]

    assert first["attributes"] == second["attributes"] == answer.json()["attributes"]
    assert first["attributes_digest"] != second["attributes_digest"]


async def test_concurrent_changes_are_numbered_one_by_one(element: ElementClient) -> None:
    await asyncio.gather(*(element.stored(b"data") for _ in range(40)))

    page = await element.get("/api/v1/journal", limit=1000)

    assert [entry["sequence"] for entry in page["items"]] == list(range(1, 41))
    assert len({entry["file_id"] for entry in page["items"]}) == 40


async def test_the_journal_is_read_in_slices(element: ElementClient) -> None:
    for _ in range(5):
        await element.stored(b"data")

    middle = await element.get("/api/v1/journal", after=1, limit=2)
    end = await element.get("/api/v1/journal", after=3, limit=2)

    assert [entry["sequence"] for entry in middle["items"]] == [2, 3]
    assert [entry["sequence"] for entry in end["items"]] == [4, 5]
    assert (middle["has_more"], end["has_more"]) == (True, False)


async def test_who_waits_is_answered_by_the_next_change(element: ElementClient) -> None:
    waiting = asyncio.create_task(element.get("/api/v1/journal", after=0, wait=8))
    await element.wait_for_metric("artstore_http_requests_in_progress", 2)

    stored = await element.stored(b"data")

    assert [entry["file_id"] for entry in (await waiting)["items"]] == [stored["file_id"]]


async def test_who_waits_in_vain_is_answered_with_nothing(element: ElementClient) -> None:
    page = await element.get("/api/v1/journal", wait=0.05)

    assert page["items"] == []


async def test_who_knows_more_than_there_is_need_not_wait(element: ElementClient) -> None:
    page = await asyncio.wait_for(element.get("/api/v1/journal", after=17, wait=8), 6)

    assert (page["items"], page["last_sequence"]) == ([], 0)


async def test_a_stop_does_not_wait_for_those_who_wait(start: StartElement) -> None:
    async with start() as element:
        waiting = asyncio.create_task(element.get("/api/v1/journal", wait=8))
        await element.wait_for_metric("artstore_http_requests_in_progress", 2)
        stopped_at = monotonic()

    assert (await waiting)["items"] == []
    assert monotonic() - stopped_at < 15


async def test_a_wrong_question_is_refused(element: ElementClient) -> None:
    questions = ["after=-1", "limit=0", "limit=1001", "wait=31", "wait=-1", "since=1"]

    answers = [await element.request("GET", f"/api/v1/journal?{question}") for question in questions]

    assert [answer.status for answer in answers] == [400] * len(questions)
    named = [answer.json()["errors"][0]["path"] for answer in answers]
    assert named == [question.partition("=")[0] for question in questions]
