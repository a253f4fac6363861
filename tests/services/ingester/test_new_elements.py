"""Elements that were registered after the ingester looked: they are known as soon as an upload needs them."""

import asyncio
from typing import Final

import pytest

from artstore.core.ids import new_file_id
from tests.services.ingester.harness import Ingesting, start_ingesting
from tests.services.roles import Roles, RoleServer, described

SELDOM: Final = {"elements_refresh": 600.0}
ELEMENTS: Final = "/api/v1/storage-elements"
REQUESTS: Final = "artstore_http_requests_total"


@pytest.fixture
async def ingesting(roles: Roles) -> Ingesting:
    """With two elements for permanent files alone."""
    elements = [await roles.start_element(f"se-{number}", element={"mode": "rw"}) for number in (1, 2)]
    return await start_ingesting(roles, elements, ingester=SELDOM)


async def register(ingesting: Ingesting, element: RoleServer) -> None:
    answer = await ingesting.roles.request(
        "POST", f"{ingesting.admin.url}{ELEMENTS}", json={"url": element.url}
    )
    assert answer.status == 201, answer.body


async def test_a_file_goes_to_an_element_that_has_just_been_registered(ingesting: Ingesting) -> None:
    before = await ingesting.post(retention_policy="temporary")
    await register(ingesting, await ingesting.roles.start_element("se-new", element={"mode": "edit"}))

    after = await ingesting.post(retention_policy="temporary")

    assert (before.status, before.problem) == (503, "unavailable")
    assert (after.status, after.json()["element_id"]) == (201, "se-new")


async def test_a_file_is_found_again_on_an_element_that_has_just_been_registered(
    ingesting: Ingesting,
) -> None:
    roles, file_id = ingesting.roles, new_file_id()
    new = await roles.start_element("se-new", element={"mode": "rw"})
    url = f"{new.url}/api/v1/files/{file_id}/content"
    stored = await roles.request("PUT", url, data=b"content", headers=described())
    assert stored.status == 201, stored.body
    await register(ingesting, new)
    await roles.wait_until_indexed(ingesting.admin, file_id)

    again = await ingesting.put(file_id)

    assert (again.status, again.json()["element_id"]) == (200, "se-new")


async def test_uploads_that_nobody_takes_do_not_make_admin_tell_its_elements_each_time(
    ingesting: Ingesting,
) -> None:
    told = {"method": "GET", "route": ELEMENTS, "status": "200"}
    before = await ingesting.roles.metric(ingesting.admin, REQUESTS, **told)

    answers = await asyncio.gather(*(ingesting.post(retention_policy="temporary") for _ in range(20)))

    assert {answer.status for answer in answers} == {503}
    assert await ingesting.roles.metric(ingesting.admin, REQUESTS, **told) - before <= 2
