"""Metadata over HTTP: read, listed, changed, and what remains of a deleted file."""

import asyncio
import json
from typing import Any

from tests.services.storage_element.harness import TEMPORARY, ElementClient, StartElement

UNKNOWN = "0197b2c4-0000-7000-8000-00000000ffff"


def url(stored: dict[str, Any]) -> str:
    return f"/api/v1/files/{stored['file_id']}"


async def test_metadata_are_the_sidecar(element: ElementClient) -> None:
    stored = await element.stored(b"data", tags=["2026"])

    answer = await element.request("GET", url(stored))

    _, sidecar = await element.placed_files()
    assert answer.body == sidecar.read_bytes()
    assert answer.headers["ETag"] == '"1"'


async def test_metadata_that_the_client_has_are_not_sent_again(element: ElementClient) -> None:
    stored = await element.stored(b"data")

    same = await element.request("GET", url(stored), headers={"If-None-Match": '"1"'})
    other = await element.request("GET", url(stored), headers={"If-None-Match": '"2"'})

    assert (same.status, same.body) == (304, b"")
    assert other.status == 200


async def test_an_unknown_file_is_not_found(element: ElementClient) -> None:
    file = f"/api/v1/files/{UNKNOWN}"

    answers = [
        await element.request("GET", file),
        await element.request("PATCH", file, json={}),
        await element.request("DELETE", file),
        await element.request("GET", f"{file}/download"),
        await element.request("HEAD", f"{file}/download"),
    ]

    assert [answer.status for answer in answers] == [404] * 5


async def test_a_list_has_every_file_in_the_order_of_the_ids(element: ElementClient) -> None:
    stored = await asyncio.gather(*(element.stored(b"data", name=f"{number}") for number in range(5)))

    page = await element.get("/api/v1/files")

    assert page["items"] == sorted(stored, key=lambda each: each["file_id"])
    assert {key: page[key] for key in ("total", "limit", "offset", "has_more")} == {
        "total": 5,
        "limit": 100,
        "offset": 0,
        "has_more": False,
    }


async def test_a_list_is_cut_by_limit_and_offset(element: ElementClient) -> None:
    await asyncio.gather(*(element.stored(b"data") for _ in range(5)))
    every = await element.file_ids()

    page = await element.get("/api/v1/files", limit=2, offset=2)

    assert [item["file_id"] for item in page["items"]] == every[2:4]
    assert (page["total"], page["has_more"]) == (5, True)


async def test_a_list_is_walked_by_after(element: ElementClient) -> None:
    await asyncio.gather(*(element.stored(b"data") for _ in range(5)))
    every = await element.file_ids()

    page = await element.get("/api/v1/files", limit=3, after=every[1])

    assert [item["file_id"] for item in page["items"]] == every[2:]
    assert not page["has_more"]


async def test_a_wrong_slice_is_refused(element: ElementClient) -> None:
    slices = ["limit=0", "limit=1001", "limit=a", "offset=-1", "after=x", "page=1"]

    answers = [await element.request("GET", f"/api/v1/files?{query}") for query in slices]

    assert [answer.status for answer in answers] == [400] * len(slices)
    named = [answer.json()["errors"][0]["path"] for answer in answers]
    assert named == [query.partition("=")[0] for query in slices]


async def test_a_change_makes_the_next_version(element: ElementClient) -> None:
    stored = await element.stored(b"data", description="old", tags=["kept"])

    answer = await element.request("PATCH", url(stored), json={"description": "new"})

    changed = answer.json()["attributes"]
    assert answer.status == 200
    assert answer.headers["Artstore-Position"] == "se-01:2"
    assert (changed["description"], changed["tags"], changed["version"]) == ("new", ["kept"], 2)
    assert changed["updated_at"] > stored["updated_at"]
    assert json.loads((await element.placed_files())[1].read_bytes()) == changed
    assert await element.get(url(stored)) == changed


async def test_a_change_is_seen_by_who_has_read_the_file_before(element: ElementClient) -> None:
    stored = await element.stored(b"data", **TEMPORARY)
    await element.get(url(stored))
    await element.get(url(stored))

    changed = await element.request("PATCH", url(stored), json={"tags": ["new"]})
    read = await element.get(url(stored))
    await element.request("DELETE", url(stored))
    deleted = await element.request("GET", url(stored))

    assert read == changed.json()["attributes"]
    assert deleted.status == 404


async def test_custom_attributes_are_merged(element: ElementClient) -> None:
    stored = await element.stored(b"data", custom_attributes={"kept": 1, "replaced": 2, "removed": 3})

    answer = await element.request(
        "PATCH", url(stored), json={"custom_attributes": {"replaced": "two", "removed": None, "added": []}}
    )

    assert answer.json()["attributes"]["custom_attributes"] == {"kept": 1, "replaced": "two", "added": []}


async def test_null_removes_the_description(element: ElementClient) -> None:
    stored = await element.stored(b"data", description="old")

    answer = await element.request("PATCH", url(stored), json={"description": None})

    assert "description" not in answer.json()["attributes"]


async def test_a_change_of_nothing_changes_nothing(element: ElementClient) -> None:
    stored = await element.stored(b"data")

    answer = await element.request("PATCH", url(stored), json={})

    assert answer.json()["attributes"] == stored
    assert answer.headers["Artstore-Position"] == "se-01:1"


async def test_a_change_of_another_version_is_refused(element: ElementClient) -> None:
    stored = await element.stored(b"data")

    first = await element.request("PATCH", url(stored), json={"tags": ["1"]}, headers={"If-Match": '"1"'})
    second = await element.request("PATCH", url(stored), json={"tags": ["2"]}, headers={"If-Match": '"1"'})

    assert first.status == 200
    assert (second.status, second.problem) == (412, "precondition-failed")
    assert (await element.get(url(stored)))["tags"] == ["1"]


async def test_a_change_on_condition_that_the_client_has_no_copy_is_refused(element: ElementClient) -> None:
    stored = await element.stored(b"data")
    future = "Fri, 31 Dec 2100 00:00:00 GMT"

    known = await element.request(
        "PATCH", url(stored), json={"tags": ["1"]}, headers={"If-None-Match": '"1"'}
    )
    since = await element.request(
        "PATCH", url(stored), json={"tags": ["2"]}, headers={"If-Modified-Since": future}
    )

    assert (known.status, since.status) == (412, 200)


async def test_of_simultaneous_changes_of_one_version_one_is_made(element: ElementClient) -> None:
    stored = await element.stored(b"data")

    answers = await asyncio.gather(
        *(
            element.request("PATCH", url(stored), json={"tags": [str(n)]}, headers={"If-Match": '"1"'})
            for n in range(5)
        )
    )

    assert sorted(answer.status for answer in answers) == [200, 412, 412, 412, 412]


async def test_a_wrong_change_is_refused_by_the_name_of_its_field(element: ElementClient) -> None:
    stored = await element.stored(b"data")
    changes: dict[str, dict[str, object]] = {
        "checksum": {"checksum": "0" * 64},
        "description": {"description": "x" * 1001},
        "tags": {"tags": "text"},
        "tags.0": {"tags": [""]},
        "custom_attributes": {"custom_attributes": {"n": 2**60}},
    }

    answers = [await element.request("PATCH", url(stored), json=change) for change in changes.values()]

    assert [answer.status for answer in answers] == [400] * len(changes)
    assert [answer.json()["errors"][0]["path"] for answer in answers] == list(changes)
    assert await element.get(url(stored)) == stored


async def test_a_change_that_makes_the_sidecar_too_large_is_refused(start: StartElement) -> None:
    async with start(element={"max_attributes_size": 4096}) as element:
        stored = await element.stored(b"data")

        answer = await element.request("PATCH", url(stored), json={"custom_attributes": {"text": "x" * 4096}})

        assert answer.status == 413
        assert await element.get(url(stored)) == stored


async def test_of_a_deleted_file_a_tombstone_remains(element: ElementClient) -> None:
    stored = await element.stored(b"data", **TEMPORARY)

    answer = await element.request("DELETE", url(stored))

    (sidecar,) = await element.placed_files()
    tombstone = json.loads(sidecar.read_bytes())
    assert answer.status == 200
    assert answer.json()["entry"]["operation"] == "delete"
    assert answer.json()["attributes"] == tombstone
    assert (tombstone["status"], tombstone["version"]) == ("deleted", 2)
    assert tombstone["checksum"] == stored["checksum"]


async def test_a_deleted_file_is_found_no_more(element: ElementClient) -> None:
    stored = await element.stored(b"data", **TEMPORARY)
    await element.request("DELETE", url(stored))

    answers = [
        await element.request("GET", url(stored)),
        await element.request("GET", f"{url(stored)}/download"),
        await element.request("PATCH", url(stored), json={"tags": []}),
        await element.request("DELETE", url(stored)),
    ]

    assert [answer.status for answer in answers] == [404] * 4
    assert (await element.get("/api/v1/files"))["total"] == 0
    assert await element.file_ids() == []


async def test_a_deletion_of_another_version_is_refused(element: ElementClient) -> None:
    stored = await element.stored(b"data")

    answer = await element.request("DELETE", url(stored), headers={"If-Match": '"7"'})

    assert answer.status == 412
    assert await element.download(stored["file_id"]) == b"data"


async def test_an_element_that_writes_once_changes_metadata_but_deletes_nothing(start: StartElement) -> None:
    async with start(element={"mode": "rw"}) as element:
        stored = await element.stored(b"data", **TEMPORARY)

        changed = await element.request("PATCH", url(stored), json={"tags": ["new"]})
        deleted = await element.request("DELETE", url(stored))

        assert changed.status == 200
        assert (deleted.status, deleted.problem) == (409, "mode-not-allowed")
        assert await element.download(stored["file_id"]) == b"data"


async def test_an_element_that_is_read_only_changes_no_metadata(start: StartElement) -> None:
    async with start(element={"mode": "ro"}) as element:
        answer = await element.request("PATCH", f"/api/v1/files/{UNKNOWN}", json={"tags": []})

        assert (answer.status, answer.problem) == (409, "mode-not-allowed")


async def test_everything_is_there_after_a_restart(start: StartElement) -> None:
    async with start() as element:
        stored = await element.stored(b"data")
        removed = await element.stored(b"removed", **TEMPORARY)
        await element.request("PATCH", url(stored), json={"tags": ["new"]})
        await element.request("DELETE", url(removed))
        files = await element.get("/api/v1/files")
        journal = await element.get("/api/v1/journal")

    async with start() as element:
        assert await element.get("/api/v1/files") == files
        assert await element.get("/api/v1/journal") == journal
        assert await element.download(stored["file_id"]) == b"data"
