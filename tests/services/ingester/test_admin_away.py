"""Uploads while admin is away: they succeed, cost no waiting, and are indexed when it is back."""

import asyncio
from typing import Final

from tests.faults import fault_proxy
from tests.services.admin.harness import eventually
from tests.services.ingester.harness import Ingesting, start_ingesting
from tests.services.roles import Roles

REGISTRATION_DEADLINE: Final = 2.0
"""Seconds an upload waits for admin at most."""


async def test_an_upload_succeeds_without_admin_and_is_indexed_when_it_is_back(ingesting: Ingesting) -> None:
    await ingesting.post()  # the access tokens are there from now on
    await ingesting.admin.stop()

    answer = await ingesting.post()
    await ingesting.admin.start()

    async def is_indexed() -> bool:
        return (await ingesting.registered(answer.json()["file_id"])).status == 200

    assert answer.status == 201
    await eventually(is_indexed)


async def test_after_one_failure_admin_is_left_alone_for_a_while(ingesting: Ingesting) -> None:
    await ingesting.post()
    await ingesting.admin.stop()

    await ingesting.post()
    await ingesting.post()

    assert await ingesting.metric("registrations_total", outcome="failed") == 1
    assert await ingesting.metric("registrations_total", outcome="skipped") == 1
    assert await ingesting.metric("breaker_open") == 1


async def test_an_admin_that_falls_silent_holds_up_one_upload_and_not_for_long(roles: Roles) -> None:
    element = await roles.start_element()
    admin = await roles.start("admin", admin={"elements": [element.url]})
    async with fault_proxy(admin.url) as proxy:
        ingester = await roles.start(
            "ingester", admin={"url": proxy.url}, auth={"type": "oauth", "issuer": admin.url}
        )
        ingesting = Ingesting(roles, admin=admin, ingester=ingester, elements=[element])
        await ingesting.wait_for_elements(1)
        await ingesting.post()
        proxy.fall_silent()

        async with asyncio.timeout(5 * REGISTRATION_DEADLINE):
            first = await ingesting.post()
        second = await ingesting.post()

        assert (first.status, second.status) == (201, 201)
        assert await ingesting.metric("registrations_total", outcome="skipped") == 1


async def test_an_upload_that_admin_refuses_to_register_is_stored_nevertheless(ingesting: Ingesting) -> None:
    url = f"{ingesting.admin.url}/api/v1/storage-elements/se-01"
    await ingesting.roles.request("DELETE", url)

    answer = await ingesting.post()

    assert answer.status == 201
    assert await ingesting.metric("registrations_total", outcome="failed") == 1
    assert await ingesting.metric("breaker_open") == 0


async def test_what_is_stored_during_one_registration_is_registered_with_the_next(roles: Roles) -> None:
    element = await roles.start_element()
    admin = await roles.start("admin", admin={"elements": [element.url]})
    async with fault_proxy(admin.url) as proxy:
        ingester = await roles.start(
            "ingester", admin={"url": proxy.url}, auth={"type": "oauth", "issuer": admin.url}
        )
        ingesting = Ingesting(roles, admin=admin, ingester=ingester, elements=[element])
        await ingesting.wait_for_elements(1)
        proxy.latency = 0.2

        answers = await asyncio.gather(*(ingesting.post(str(number).encode()) for number in range(30)))

    found = await asyncio.gather(*(ingesting.registered(each.json()["file_id"]) for each in answers))
    requests = await roles.metric(admin, "artstore_http_requests_total", route="/api/v1/files", method="POST")
    assert [answer.status for answer in answers] == [201] * 30
    assert [each.status for each in found] == [200] * 30
    assert requests < 8


async def test_an_ingester_that_never_saw_admin_says_so(roles: Roles) -> None:
    ingester = await roles.start("ingester")
    element = await roles.start_element()
    ingesting = Ingesting(roles, admin=ingester, ingester=ingester, elements=[element])

    readiness = await roles.readiness(ingester)

    assert readiness["status"] == "fail"
    assert readiness["checks"]["admin"]["status"] == "degraded"
    assert "no storage element is known" in readiness["checks"]["elements"]["detail"]
    assert await ingesting.metric("uploads_active") == 0


async def test_without_registered_elements_an_upload_is_refused(roles: Roles) -> None:
    admin = await roles.start("admin")
    ingester = await roles.start("ingester")
    ingesting = Ingesting(roles, admin=admin, ingester=ingester, elements=[])

    answer = await ingesting.post()

    assert (answer.status, answer.problem) == (503, "unavailable")
    assert "no storage element is registered" in answer.json()["detail"]


async def test_an_element_that_is_registered_later_is_used_as_soon_as_it_is_needed(roles: Roles) -> None:
    archive = await roles.start_element("se-01", element={"mode": "ro"})
    ingesting = await start_ingesting(roles, [archive], ingester={"elements_refresh": 60})
    element = await roles.start_element("se-02")
    url = f"{ingesting.admin.url}/api/v1/storage-elements"
    await roles.request("POST", url, json={"url": element.url})

    async def is_stored() -> bool:
        return (await ingesting.post()).status == 201

    await eventually(is_stored)


async def test_while_admin_is_away_the_ingester_is_degraded_not_down(ingesting: Ingesting) -> None:
    await ingesting.admin.stop()

    async def is_degraded() -> bool:
        readiness = await ingesting.roles.readiness(ingesting.ingester)
        return bool(readiness["status"] == "degraded")

    await eventually(is_degraded)
