"""Clients and elements that fail in the middle of an upload: nothing is left, nothing is pretended."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import pytest

from artstore.core.config import ElementSettings
from artstore.core.ids import new_file_id
from tests.faults import fault_proxy
from tests.services.admin.harness import eventually
from tests.services.ingester.harness import MIB, Ingesting, pieces, start_ingesting, whole
from tests.services.roles import Roles, RoleServer, child_role, described
from tests.services.storage_element.test_disk_full import WITH_SMALL_FILES

IMPATIENT: Final = {"stall_timeout": 0.5}
LARGE: Final = 20 * MIB
"""More than sockets hold on the way: the far end must have taken some of it."""

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
NO_ROOM: Final = {name: {"fraction": 0.999_999, "size": 2**60} for name in ("warning", "critical", "full")}


async def send_part(ingesting: Ingesting, *, declared: int, sent: int) -> asyncio.StreamWriter:
    """Send the beginning of an upload; the rest is up to the test."""
    port = int(ingesting.ingester.url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    headers = {
        "Host": "test",
        "Authorization": f"Bearer {await ingesting.roles.token()}",
        "Content-Length": str(declared),
        **described(),
    }
    lines = [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join(["POST /api/v1/files HTTP/1.1", *lines, "", ""]).encode() + whole(sent))
    await writer.drain()
    return writer


async def stalling(size: int) -> AsyncIterator[bytes]:
    """A body whose second half never comes."""
    yield whole(size // 2)
    await asyncio.sleep(60)


async def restarted(element: RoleServer, **changes: Any) -> None:
    """Restart an element with changed settings of its own; admin and ingester are not told."""
    await element.stop()
    section = ElementSettings.model_validate({**element.settings.element.model_dump(), **changes})
    await element.start(element.settings.model_copy(update={"element": section}))


def change_mode(roles: Roles, element_id: str, mode: str) -> None:
    """Of an element that is not running."""
    identity = roles.data / "storage" / element_id / "element.json"
    identity.write_text(json.dumps(json.loads(identity.read_text()) | {"mode": mode}))


@pytest.mark.parametrize("size", [1000, LARGE])
async def test_a_client_that_goes_away_leaves_nothing(ingesting: Ingesting, size: int) -> None:
    writer = await send_part(ingesting, declared=size, sent=size - 10)

    async def is_under_way() -> bool:
        return await ingesting.metric("uploads_active") == 1 and (size != LARGE or bool(ingesting.kept()))

    await eventually(is_under_way)
    writer.transport.abort()

    await ingesting.wait_until_nothing_is_kept()
    assert await ingesting.metric("uploads_total", outcome="refused") == 1


@pytest.mark.parametrize("size", [1000, LARGE])
async def test_a_client_that_stalls_is_told_so_and_leaves_nothing(roles: Roles, size: int) -> None:
    ingesting = await start_ingesting(roles, [await roles.start_element()], server=IMPATIENT)

    answer = await ingesting.post(stalling(size))

    assert (answer.status, answer.problem) == (408, "request-timeout")
    await ingesting.wait_until_nothing_is_kept()


async def test_a_form_that_ends_too_early_leaves_nothing(ingesting: Ingesting) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    url = f"{ingesting.ingester.url}/api/v1/files/upload"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}

    async def body() -> AsyncIterator[bytes]:
        yield head
        async for piece in pieces(LARGE):
            yield piece

    answer = await ingesting.roles.request("POST", url, data=body(), headers=headers)

    assert (answer.status, answer.problem) == (400, "invalid-request")
    await ingesting.wait_until_nothing_is_kept()


@pytest.mark.parametrize("size", [1000, LARGE])
async def test_an_element_that_is_down_is_passed_over(roles: Roles, size: int) -> None:
    preferred = await roles.start_element("se-01", element={"priority": 1})
    other = await roles.start_element("se-02", element={"priority": 2})
    ingesting = await start_ingesting(roles, [preferred, other])
    await preferred.stop()

    answer = await ingesting.post(whole(size))

    assert (answer.status, answer.json()["element_id"]) == (201, "se-02")
    assert await ingesting.content(answer.json()["file_id"], other) == whole(size)


async def test_an_element_that_failed_is_not_tried_first_again(roles: Roles) -> None:
    preferred = await roles.start_element("se-01", element={"priority": 1})
    other = await roles.start_element("se-02", element={"priority": 2})
    ingesting = await start_ingesting(roles, [preferred, other])
    await preferred.stop()

    await ingesting.post()
    await ingesting.post()

    assert await ingesting.metric("retries_total") == 1


@pytest.mark.parametrize("size", [1000, LARGE])
async def test_an_element_that_turns_out_to_be_full_is_passed_over(roles: Roles, size: int) -> None:
    preferred = await roles.start_element("se-01", element={"priority": 1})
    other = await roles.start_element("se-02", element={"priority": 2})
    ingesting = await start_ingesting(roles, [preferred, other], ingester={"elements_refresh": 60})
    await restarted(preferred, capacity=NO_ROOM)

    answer = await ingesting.post(whole(size))

    assert (answer.status, answer.json()["element_id"]) == (201, "se-02")
    assert await ingesting.content(answer.json()["file_id"], other) == whole(size)
    assert ingesting.kept("se-01") == []


@pytest.mark.parametrize("size", [1000, LARGE])
async def test_when_every_element_turns_out_to_be_full_the_upload_is_refused(roles: Roles, size: int) -> None:
    element = await roles.start_element()
    ingesting = await start_ingesting(roles, [element], ingester={"elements_refresh": 60})
    await restarted(element, capacity=NO_ROOM)

    answer = await ingesting.post(whole(size))

    assert (answer.status, answer.problem) == (507, "insufficient-storage")
    assert ingesting.kept() == []


@pytest.mark.parametrize("content", [whole, pieces], ids=["known length", "unknown length"])
async def test_an_element_that_becomes_full_in_the_middle_keeps_nothing_and_the_next_attempt_goes_elsewhere(
    roles: Roles, content: Callable[[int], bytes | AsyncIterator[bytes]]
) -> None:
    other = await roles.start_element("se-02", element={"priority": 2})
    preferred = RoleServer("element", roles.element_settings("se-01", element={"priority": 1}))
    async with child_role(roles, "element", settings=preferred.settings, launcher=WITH_SMALL_FILES):
        ingesting = await start_ingesting(roles, [preferred, other])

        small = await ingesting.post()
        refused = await ingesting.post(content(LARGE))
        kept = ingesting.kept("se-01")
        again = await ingesting.post(content(LARGE))

        assert (small.status, small.json()["element_id"]) == (201, "se-01")
        assert (refused.status, refused.problem) == (507, "insufficient-storage")
        assert "no room" in refused.json()["detail"]
        assert len(kept) == 2  # of the small one
        assert ingesting.kept("se-01") == kept
        assert (again.status, again.json()["element_id"]) == (201, "se-02")
        assert await ingesting.content(again.json()["file_id"], other) == whole(LARGE)


async def test_elements_known_to_be_full_are_named(roles: Roles) -> None:
    element = await roles.start_element(element={"capacity": NO_ROOM})
    ingesting = await start_ingesting(roles, [element])

    answer = await ingesting.post()

    assert (answer.status, answer.problem) == (507, "insufficient-storage")
    assert "se-01" in answer.json()["detail"]
    assert await ingesting.metric("selection_duration_seconds_count", outcome="none") == 1


async def test_an_element_whose_mode_has_changed_is_passed_over(roles: Roles) -> None:
    preferred = await roles.start_element("se-01", element={"priority": 1, "mode": "rw"})
    other = await roles.start_element("se-02", element={"priority": 2, "mode": "edit"})
    ingesting = await start_ingesting(roles, [preferred, other], ingester={"elements_refresh": 60})
    await preferred.stop()
    change_mode(roles, "se-01", "ro")
    await preferred.start()

    answer = await ingesting.post()

    assert (answer.status, answer.json()["element_id"]) == (201, "se-02")


async def test_temporary_files_go_only_where_they_can_be_deleted(roles: Roles) -> None:
    element = await roles.start_element(element={"mode": "rw"})
    ingesting = await start_ingesting(roles, [element])

    permanent = await ingesting.post()
    temporary = await ingesting.post(retention_policy="temporary")

    assert permanent.status == 201
    assert (temporary.status, temporary.problem) == (503, "unavailable")
    assert "se-01 is in mode rw" in temporary.json()["detail"]


@pytest.mark.parametrize("size", [1000, LARGE])
async def test_without_any_element_the_upload_is_refused_at_once(ingesting: Ingesting, size: int) -> None:
    await ingesting.elements[0].stop()

    answer = await ingesting.post(whole(size))

    assert (answer.status, answer.problem) == (503, "unavailable")
    assert "se-01" in answer.json()["detail"]
    assert "Retry-After" in answer.headers


async def test_an_element_that_breaks_off_a_small_upload_is_replaced(roles: Roles) -> None:
    preferred = await roles.start_element("se-01", element={"priority": 1})
    other = await roles.start_element("se-02", element={"priority": 2})
    async with fault_proxy(preferred.url) as proxy:
        ingesting = await start_ingesting(roles, [preferred, other], urls=[proxy.url, other.url])
        proxy.cut_request_after = 2000

        answer = await ingesting.post(whole(60_000))

    assert (answer.status, answer.json()["element_id"]) == (201, "se-02")
    assert ingesting.kept("se-01") == []


@pytest.mark.parametrize("content", [whole, pieces], ids=["known length", "unknown length"])
async def test_a_large_upload_that_was_broken_off_is_not_sent_elsewhere_by_halves(
    roles: Roles, content: Callable[[int], bytes | AsyncIterator[bytes]]
) -> None:
    preferred = await roles.start_element("se-01", element={"priority": 1})
    other = await roles.start_element("se-02", element={"priority": 2})
    async with fault_proxy(preferred.url) as proxy:
        ingesting = await start_ingesting(roles, [preferred, other], urls=[proxy.url, other.url])
        proxy.cut_request_after = 5 * MIB

        answer = await ingesting.post(content(LARGE))

    assert (answer.status, answer.problem) == (503, "unavailable")
    assert "se-01" in answer.json()["detail"]
    assert await ingesting.metric("uploads_total", outcome="failed") == 1
    await ingesting.wait_until_nothing_is_kept()


@pytest.mark.parametrize("size", [1000, LARGE])
async def test_an_element_that_falls_silent_is_given_up(roles: Roles, size: int) -> None:
    element = await roles.start_element()
    async with fault_proxy(element.url) as proxy:
        ingesting = await start_ingesting(roles, [element], urls=[proxy.url], server=IMPATIENT)
        proxy.fall_silent()

        answer = await ingesting.post(whole(size))

    assert (answer.status, answer.problem) == (503, "unavailable")


async def test_an_element_that_falls_silent_in_the_middle_is_given_up(roles: Roles) -> None:
    element = await roles.start_element()
    async with fault_proxy(element.url) as proxy:
        ingesting = await start_ingesting(roles, [element], urls=[proxy.url], server=IMPATIENT)

        async def body() -> AsyncIterator[bytes]:
            async for piece in pieces(LARGE):
                yield piece
            proxy.fall_silent()
            async for piece in pieces(LARGE):
                yield piece

        answer = await ingesting.post(body())

    assert (answer.status, answer.problem) == (503, "unavailable")
    assert "does not take" in answer.json()["detail"]
    await ingesting.wait_until_nothing_is_kept()


@pytest.mark.parametrize(("size", "response_bytes"), [(1000, 1), (LARGE, len(CONTINUE) + 1)])
async def test_an_answer_that_was_lost_is_made_good_by_sending_again(
    roles: Roles, size: int, response_bytes: int
) -> None:
    element = await roles.start_element()
    file_id = new_file_id()
    async with fault_proxy(element.url) as proxy:
        ingesting = await start_ingesting(roles, [element], urls=[proxy.url])
        proxy.cut_response_after = response_bytes
        lost = await ingesting.put(file_id, whole(size))
        proxy.heal()

        again = await ingesting.put(file_id, whole(size))

    assert (lost.status, again.status) == (503, 200)
    assert len(ingesting.kept()) == 2  # data and sidecar


@pytest.mark.parametrize("admin_is_up", [True, False])
async def test_a_retry_goes_to_the_element_that_has_the_file(roles: Roles, admin_is_up: bool) -> None:
    preferred = await roles.start_element("se-01", element={"priority": 1})
    other = await roles.start_element("se-02", element={"priority": 2})
    ingesting = await start_ingesting(roles, [preferred, other])
    file_id = new_file_id()
    url = f"{other.url}/api/v1/files/{file_id}/content"
    await roles.request("PUT", url, data=b"same", headers=described())
    await roles.wait_until_indexed(ingesting.admin, file_id)
    await ingesting.post()  # the ingester knows the keys of access tokens from now on
    if not admin_is_up:
        await ingesting.admin.stop()

    again = await ingesting.put(file_id, b"same")
    conflict = await ingesting.put(file_id, b"other")
    new = await ingesting.put(new_file_id(), b"new")

    assert (again.status, conflict.status, new.status) == (200, 409, 201)
    assert (again.json()["element_id"], new.json()["element_id"]) == ("se-02", "se-01")


async def test_a_retry_whose_element_is_away_is_not_stored_twice(roles: Roles) -> None:
    preferred = await roles.start_element("se-01", element={"priority": 1})
    other = await roles.start_element("se-02", element={"priority": 2})
    ingesting = await start_ingesting(roles, [preferred, other])
    file_id = new_file_id()
    await ingesting.put(file_id, b"same")
    await preferred.stop()

    answer = await ingesting.put(file_id, b"same")

    assert (answer.status, answer.problem) == (503, "unavailable")
    assert ingesting.kept("se-02") == []


async def test_a_large_upload_waits_for_its_invitation(roles: Roles) -> None:
    """A client that sends ``Expect: 100-continue`` keeps its bytes when there is no room for them."""
    element = await roles.start_element(element={"max_file_size": MIB})
    ingesting = await start_ingesting(roles, [element])
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        async for piece in pieces(LARGE):
            taken += len(piece)
            yield piece

    headers = {"Expect": "100-continue", "Content-Length": str(LARGE)}
    answer = await ingesting.post(body(), headers=headers)

    assert (answer.status, answer.problem, taken) == (413, "content-too-large", 0)


@pytest.mark.parametrize("size", [100, 3 * MIB])
async def test_a_file_over_the_limit_of_the_element_is_refused(ingesting: Ingesting, size: int) -> None:
    await restarted(ingesting.elements[0], max_file_size=50)

    answer = await ingesting.post(whole(size))
    of_unknown_length = await ingesting.post(pieces(size))

    assert (answer.status, answer.problem) == (413, "content-too-large")
    assert (of_unknown_length.status, of_unknown_length.problem) == (413, "content-too-large")
    assert ingesting.kept() == []
