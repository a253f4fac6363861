"""What the query role answers while something it needs is missing, slow, or wrong."""

import asyncio
import json
from pathlib import Path
from typing import Final

import pytest
from aiohttp import ClientError, ClientPayloadError, ClientSession

from artstore.core.ids import new_file_id
from tests.faults import fault_proxy
from tests.services.admin.harness import eventually
from tests.services.query.harness import Querying, start_querying
from tests.services.roles import Roles, described
from tests.services.storage_element.damage import flip

MIB: Final = 1024 * 1024
LARGE: Final = 20 * MIB
"""More than sockets hold on the way."""


async def test_an_element_that_is_down_is_told_and_the_file_is_not_lost(querying: Querying) -> None:
    file = await querying.stored()
    await querying.element.stop()

    answer = await querying.download(file["file_id"])
    await querying.element.start()
    again = await querying.download(file["file_id"])

    assert (answer.status, answer.problem) == (503, "unavailable")
    assert "se-01" in answer.json()["detail"]
    assert "Retry-After" in answer.headers
    assert again.body == b"content"


async def test_searching_goes_on_without_elements_and_without_admin(querying: Querying) -> None:
    file = await querying.stored(name="still here.txt")
    await querying.element.stop()
    await querying.admin.stop()

    assert await querying.found(query="here") == ["still here.txt"]
    assert (await querying.get(f"/api/v1/files/{file['file_id']}")).status == 200


async def test_an_element_that_is_not_registered_any_more_is_named(querying: Querying) -> None:
    file = await querying.stored()
    await querying.sql("DELETE FROM elements")

    answer = await querying.download(file["file_id"])

    assert (answer.status, answer.problem) == (503, "unavailable")
    assert "se-01, which is not registered" in answer.json()["detail"]


async def test_a_file_that_is_elsewhere_now_is_found_again(roles: Roles) -> None:
    querying = await start_querying(roles)
    other = await roles.start_element("se-02")
    await roles.request("POST", f"{querying.admin.url}/api/v1/storage-elements", json={"url": other.url})
    file = await querying.stored(b"content")
    await querying.download(file["file_id"])
    url = f"{other.url}/api/v1/files/{file['file_id']}/content"
    await roles.request("PUT", url, data=b"content", headers=described())
    await querying.element.stop()
    await querying.sql("UPDATE files SET element_id = 'se-02'")

    first = await querying.download(file["file_id"])
    second = await querying.download(file["file_id"])

    assert (first.status, second.status) == (503, 200)


async def test_an_element_that_moved_is_found_again(roles: Roles) -> None:
    element = await roles.start_element()
    async with fault_proxy(element.url) as proxy:
        querying = await start_querying(roles, element=element, element_url=proxy.url)
        file = await querying.stored()
        await querying.download(file["file_id"])
        await proxy.stop()
        await querying.sql("UPDATE elements SET url = ?", [element.url])

        first = await querying.download(file["file_id"])
        second = await querying.download(file["file_id"])

    assert (first.status, second.status) == (503, 200)


@pytest.mark.parametrize("cut_after", [100_000, 5 * MIB])
async def test_a_download_that_breaks_off_never_looks_complete(roles: Roles, cut_after: int) -> None:
    element = await roles.start_element()
    async with fault_proxy(element.url) as proxy:
        querying = await start_querying(roles, element=element, element_url=proxy.url)
        file = await querying.stored(bytes(LARGE))
        proxy.cut_response_after = cut_after

        with pytest.raises(ClientPayloadError):
            await querying.download(file["file_id"])

    assert await querying.metric("downloads_total", outcome="failed") == 1


async def test_a_wrong_byte_never_arrives_as_a_complete_answer(querying: Querying) -> None:
    small, large = await querying.stored(bytes(100_000)), await querying.stored(bytes(LARGE))
    root = querying.roles.data / "storage" / "se-01"
    for file in (small, large):
        await asyncio.to_thread(flip, root / file["storage_path"] / file["storage_filename"], -1)

    answer = await querying.download(small["file_id"])
    with pytest.raises(ClientPayloadError):
        await querying.download(large["file_id"])

    assert (answer.status, answer.problem) == (500, "corrupted")
    assert small["file_id"] in answer.json()["detail"]


async def test_a_download_that_stalls_is_broken_off(roles: Roles) -> None:
    element = await roles.start_element()
    async with fault_proxy(element.url) as proxy, ClientSession() as session:
        querying = await start_querying(
            roles, element=element, element_url=proxy.url, server={"stall_timeout": 0.5}
        )
        file = await querying.stored(bytes(LARGE))
        url = f"{querying.query.url}/api/v1/files/{file['file_id']}/download"
        headers = {"Authorization": f"Bearer {await roles.token()}"}

        async with session.get(url, headers=headers) as response:
            await response.content.readexactly(MIB)
            proxy.fall_silent()
            with pytest.raises(ClientError):
                await response.read()


async def test_an_element_that_falls_silent_is_given_up(roles: Roles) -> None:
    element = await roles.start_element()
    async with fault_proxy(element.url) as proxy:
        querying = await start_querying(
            roles, element=element, element_url=proxy.url, server={"stall_timeout": 0.5}
        )
        file = await querying.stored()
        proxy.fall_silent()

        answer = await querying.download(file["file_id"])

    assert (answer.status, answer.problem) == (503, "unavailable")


async def test_a_client_that_goes_away_ends_the_download_everywhere(querying: Querying) -> None:
    file = await querying.stored(bytes(LARGE))
    url = f"{querying.query.url}/api/v1/files/{file['file_id']}/download"
    headers = {"Authorization": f"Bearer {await querying.roles.token()}"}

    async with ClientSession() as session, session.get(url, headers=headers) as response:
        await response.content.readexactly(MIB)

    async def is_aborted() -> bool:
        by_query = await querying.metric("downloads_total", outcome="aborted")
        by_element = await querying.roles.metric(
            querying.element, "artstore_element_operations_total", operation="download", outcome="aborted"
        )
        return by_query == by_element == 1

    await eventually(is_aborted)


async def test_content_that_is_not_what_the_index_says_is_not_passed_on(querying: Querying) -> None:
    file = await querying.stored()
    wrong = json.dumps({**file, "checksum": "0" * 64})
    await querying.sql("UPDATE file_sidecars SET attributes = ?", [wrong])

    answer = await querying.download(file["file_id"])

    assert (answer.status, answer.problem) == (500, "corrupted")


async def test_a_file_that_was_just_deleted_is_not_found(querying: Querying) -> None:
    file = await querying.stored(retention_policy="temporary")
    await querying.download(file["file_id"])
    await querying.admin.stop()  # so that the index does not learn of it
    await querying.roles.request("DELETE", f"{querying.element.url}/api/v1/files/{file['file_id']}")

    answer = await querying.download(file["file_id"])

    assert (answer.status, answer.problem) == (404, "not-found")


async def test_a_position_that_is_not_reached_in_time_is_told(roles: Roles) -> None:
    querying = await start_querying(roles, query={"position_timeout": 0.2})
    await querying.stored()

    answer = await querying.search(at_least="se-01:1000")

    assert (answer.status, answer.problem) == (503, "unavailable")
    assert "se-01:1000" in answer.json()["detail"]
    assert await querying.metric("search_duration_seconds_count", mode="fulltext", outcome="failed") == 1


async def test_query_may_start_before_there_is_an_index(tmp_path: Path) -> None:
    async with ClientSession() as session:
        roles = Roles(tmp_path, session)
        query = await roles.start("query")
        before = await roles.readiness(query)
        await roles.start("admin")

        async def is_ready() -> bool:
            return bool((await roles.readiness(query))["status"] == "ok")

        await eventually(is_ready)
        answer = await roles.request("POST", f"{query.url}/api/v1/search", json={})
        await roles.stop()

    assert before["status"] == "fail"
    assert "the index is not there yet" in before["checks"]["database"]["detail"]
    assert answer.status == 200


async def test_requests_are_refused_while_there_is_no_index(roles: Roles) -> None:
    querying = await start_querying(roles, metadata={"type": "sqlite", "path": "another.db"})

    search = await querying.search()
    metadata = await querying.get(f"/api/v1/files/{new_file_id()}")
    content = await querying.download(new_file_id())

    for answer in (search, metadata, content):
        assert (answer.status, answer.problem) == (503, "unavailable")
        assert "the index is not there yet" in answer.json()["detail"]
