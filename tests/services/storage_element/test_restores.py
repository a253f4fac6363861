"""An archive gives its data out after a restore: asked for once, queued, restored for a while."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from artstore.core.ids import new_file_id
from artstore.core.testing import IssuerServer
from tests.services.storage_element.clocks import FakeClock
from tests.services.storage_element.harness import (
    MINT,
    TEMPORARY,
    Answer,
    ElementClient,
    StartElement,
    element_settings,
    in_catalog,
    lose_catalog,
    running_element,
)
from tests.services.storage_element.modes import ADMIN, change_mode
from tests.services.storage_element.test_collection import QUIET, collect, removed

QUEUED = "artstore_element_restores_queued"
RESTORES = "/api/v1/restores"


@pytest.fixture
async def archive(start: StartElement) -> AsyncGenerator[ElementClient, None]:
    async with start(element={"mode": "rw"}) as element:
        yield element


async def archived(element: ElementClient, content: bytes = b"data") -> dict[str, Any]:
    """The attributes of a file in an element that is an archive from now on."""
    stored = await element.stored(content)
    await change_mode(element, "ro")
    await change_mode(element, "ar")
    return stored


async def ask(element: ElementClient, stored: dict[str, Any], **arguments: Any) -> Answer:
    return await element.request("GET", f"/api/v1/files/{stored['file_id']}/download", **arguments)


def copy_of(stored: dict[str, Any], *, days: float = 30, **changes: Any) -> dict[str, Any]:
    """What an operator says of the copy."""
    where = {"element_id": "se-02", "file_id": str(new_file_id()), "url": "http://127.0.0.1:8110"}
    expires_at = datetime.now(UTC) + timedelta(days=days)
    return {
        "restored_at": where,
        "checksum": stored["checksum"],
        "expires_at": expires_at.isoformat(),
        **changes,
    }


async def change(element: ElementClient, method: str, path: str, body: object = None) -> Answer:
    return await element.request(method, f"{RESTORES}/{path}", token=ADMIN, json=body)


async def test_metadata_are_served_and_data_are_queued(archive: ElementClient) -> None:
    stored = await archived(archive)

    metadata = await archive.get(f"/api/v1/files/{stored['file_id']}")
    answer = await ask(archive, stored, headers={"Artstore-On-Behalf-Of": "sa_billing"})
    request = answer.json()

    assert metadata == stored
    assert (answer.status, request["status"], request["file_id"]) == (202, "queued", stored["file_id"])
    assert request["on_behalf_of"] == "sa_billing"
    assert int(answer.headers["Retry-After"]) > 0
    assert await archive.get(answer.headers["Location"]) == request
    assert await archive.get(f"/api/v1/files/{stored['file_id']}/restore") == request
    assert (await archive.get(RESTORES, status="queued"))["items"] == [request]
    assert await archive.metric(QUEUED) == 1


async def test_all_who_want_a_file_share_one_request(archive: ElementClient) -> None:
    stored = await archived(archive)
    other = MINT(scope="storage:read", client_id="sa_other")

    answers = await asyncio.gather(*(ask(archive, stored, token=token) for token in (None, other) * 8))

    assert {answer.status for answer in answers} == {202}
    assert len({answer.json()["request_id"] for answer in answers}) == 1
    assert (await archive.get(RESTORES))["total"] == 1


async def test_a_look_at_the_head_asks_for_nothing(archive: ElementClient) -> None:
    stored = await archived(archive)
    url = f"/api/v1/files/{stored['file_id']}/download"

    before = await archive.request("HEAD", url)
    nothing = (await archive.get(RESTORES))["total"]
    await ask(archive, stored)
    after = await archive.request("HEAD", url)

    assert (before.status, nothing, after.status) == (409, 0, 202)


async def test_who_asks_for_a_restored_file_is_led_to_the_copy(archive: ElementClient) -> None:
    stored = await archived(archive)
    request = (await ask(archive, stored)).json()
    copy = copy_of(stored)

    completed = await change(archive, "POST", f"{request['request_id']}/complete", copy)
    answer = await ask(archive, stored)

    where = copy["restored_at"]
    assert (completed.status, completed.json()["status"]) == (200, "restored")
    assert (answer.status, answer.json()["request_id"]) == (303, request["request_id"])
    assert answer.headers["Artstore-Restored"] == f"se-02:{where['file_id']}"
    assert answer.headers["Location"] == f"{where['url']}/api/v1/files/{where['file_id']}/download"
    assert await archive.metric(QUEUED) == 0


async def test_a_copy_of_other_bytes_is_refused(archive: ElementClient) -> None:
    stored = await archived(archive)
    request = (await ask(archive, stored)).json()
    wrong = copy_of(stored, checksum="0" * 64)

    answer = await change(archive, "POST", f"{request['request_id']}/complete", wrong)

    assert (answer.status, answer.problem) == (422, "checksum-mismatch")
    assert (await ask(archive, stored)).status == 202


@pytest.mark.parametrize("expires_at", ["2036-11-26T00:00:00", "9999-12-31T23:59:59-12:00"])
async def test_a_copy_that_goes_away_at_no_time_is_refused(archive: ElementClient, expires_at: str) -> None:
    stored = await archived(archive)
    request = (await ask(archive, stored)).json()
    copy = copy_of(stored, expires_at=expires_at)

    answer = await change(archive, "POST", f"{request['request_id']}/complete", copy)

    assert (answer.status, answer.problem) == (400, "invalid-request")
    assert (await ask(archive, stored)).status == 202


async def test_after_its_time_a_copy_is_forgotten_and_the_file_can_be_asked_for_again(
    archive: ElementClient,
) -> None:
    stored = await archived(archive)
    first = (await ask(archive, stored)).json()
    await change(archive, "POST", f"{first['request_id']}/complete", copy_of(stored, days=-1))

    expired = (await archive.get(f"{RESTORES}/{first['request_id']}"))["status"]
    second = await ask(archive, stored)

    assert expired == "expired"
    assert (second.status, second.json()["status"]) == (202, "queued")
    assert second.json()["request_id"] != first["request_id"]
    assert [each["status"] for each in (await archive.get(RESTORES))["items"]] == ["expired", "queued"]


@dataclass
class Restored:
    """A file in an archive, and its copy in an element in ``edit``, which share a clock."""

    archive: ElementClient
    edit: ElementClient
    clock: FakeClock
    stored: dict[str, Any]
    request_id: str


@pytest.fixture
async def restored(
    start: StartElement, issuer: IssuerServer, tmp_path: Path
) -> AsyncGenerator[Restored, None]:
    clock = FakeClock()
    settings = element_settings(
        tmp_path / "edit", jwks_url=issuer.jwks_url, element={"element_id": "se-02", "collection": QUIET}
    )
    async with (
        start(clock=clock, element={"mode": "rw"}) as archive,
        running_element(settings, clock=clock) as edit,
    ):
        stored = await archived(archive)
        request = (await ask(archive, stored)).json()
        request_id = request["request_id"]
        copy = await edit.stored(
            b"data", file_id=UUID(request_id), **TEMPORARY, ttl_days=request["keep_days"]
        )
        completion = {
            "restored_at": {"element_id": "se-02", "file_id": request_id, "url": edit.url},
            "checksum": copy["checksum"],
            "expires_at": copy["retention"]["expires_at"],
        }
        completed = await change(archive, "POST", f"{request_id}/complete", completion)
        assert completed.status == 200, completed
        yield Restored(archive, edit, clock, stored, request_id)


async def test_a_copy_is_collected_when_its_time_is_over_and_the_file_can_be_asked_for_again(
    restored: Restored,
) -> None:
    restored.clock.advance(days=29)
    before = removed(await collect(restored.edit)), (await ask(restored.archive, restored.stored)).status
    copy = await restored.edit.download(restored.request_id)
    restored.clock.advance(days=3)
    after = removed(await collect(restored.edit)), (await ask(restored.archive, restored.stored)).status

    assert (before, copy) == (({}, 303), b"data")
    assert after == ({"expired": 1}, 202)
    assert await restored.edit.file_ids() == []


async def test_a_copy_that_went_early_keeps_the_file_from_nobody_for_longer_than_it_was_to_stay(
    restored: Restored,
) -> None:
    await restored.edit.request("DELETE", f"/api/v1/files/{restored.request_id}")

    early = await ask(restored.archive, restored.stored)
    restored.clock.advance(days=31)
    later = await ask(restored.archive, restored.stored)

    assert early.status == 303
    assert (later.status, later.json()["status"]) == (202, "queued")
    assert later.json()["request_id"] != restored.request_id


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("DELETE", "", None, "cancelled"),
        ("POST", "/fail", {"reason": "the tape is torn"}, "failed"),
    ],
)
async def test_a_request_ends_and_the_next_is_a_new_one(
    archive: ElementClient, method: str, path: str, body: object, status: str
) -> None:
    stored = await archived(archive)
    request = (await ask(archive, stored)).json()

    ended = await change(archive, method, f"{request['request_id']}{path}", body)
    too_late = await change(archive, "POST", f"{request['request_id']}/complete", copy_of(stored))
    again = await ask(archive, stored)

    assert (ended.status, ended.json()["status"]) == (200, status)
    assert ended.json().get("reason") == (body["reason"] if isinstance(body, dict) else None)
    assert (too_late.status, too_late.problem) == (412, "precondition-failed")
    assert again.json()["request_id"] != request["request_id"]


async def test_requests_survive_a_restart_and_a_rebuild(start: StartElement, tmp_path: Any) -> None:
    async with start(element={"mode": "rw"}) as element:
        stored = await archived(element)
        request = (await ask(element, stored)).json()
    in_catalog(tmp_path, "DELETE FROM catalog_meta")

    async with start() as element:
        assert (await ask(element, stored)).json() == request
        assert await element.metric(QUEUED) == 1


async def test_a_lost_queue_loses_no_file(start: StartElement, tmp_path: Any) -> None:
    async with start(element={"mode": "rw"}) as element:
        stored = await archived(element)
        await ask(element, stored)
    lose_catalog(tmp_path)

    async with start() as element:
        assert (await ask(element, stored)).status == 202


async def test_what_is_not_there_is_told(archive: ElementClient) -> None:
    stored = await archived(archive)
    unknown = new_file_id()

    no_file = await ask(archive, {"file_id": unknown})
    no_request = await archive.request("GET", f"{RESTORES}/{unknown}")
    nobody_asked = await archive.request("GET", f"/api/v1/files/{stored['file_id']}/restore")
    named_badly = await ask(archive, stored, headers={"Artstore-On-Behalf-Of": "x" * 256})

    assert [each.status for each in (no_file, no_request, nobody_asked)] == [404] * 3
    assert (named_badly.status, named_badly.problem) == (400, "invalid-request")


@pytest.mark.parametrize(("method", "path"), [("DELETE", ""), ("POST", "/fail"), ("POST", "/complete")])
async def test_only_an_administrator_of_storage_changes_a_request(
    archive: ElementClient, method: str, path: str
) -> None:
    token = MINT(scope="storage:read storage:write storage:delete")

    answer = await archive.request(method, f"{RESTORES}/{new_file_id()}{path}", token=token, json={})

    assert (answer.status, answer.problem) == (403, "forbidden")
