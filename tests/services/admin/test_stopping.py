"""Who waits for news of a role that stops: goes on to ask, and not in a loop."""

from collections.abc import Awaitable, Callable
from time import monotonic

import pytest
from aiohttp import ClientSession

from artstore.core.client.revocations import REVOCATIONS_PATH
from artstore.core.client.tokens import ClientCredentials
from artstore.core.waiting import EARLY_PAUSE
from tests.services.admin.harness import ACCOUNTS, AdminClient, ElementServer, eventually
from tests.services.roles import sample


async def times_asked(url: str, route: str) -> float:
    async with ClientSession() as session, session.get(f"{url}/metrics") as response:
        text = await response.text()
    return sample(text, "artstore_http_requests_total", route=route, status="200")


async def asked_no_faster_than_pauses_allow(times: Callable[[], Awaitable[float]]) -> bool:
    """Whether the pauses are kept between some questions. One may have been on its way at the beginning."""
    before, started = await times(), monotonic()

    async def are_several() -> float:
        asked = await times() - before
        return asked if asked >= 3 else 0

    asked = await eventually(are_several)
    return asked <= 2 + (monotonic() - started) / EARLY_PAUSE


@pytest.fixture
async def followed(admin: AdminClient, element: ElementServer) -> ElementServer:
    """An element that waits for what admin revokes, and whose journal admin waits for."""
    assert (await admin.request("POST", "/api/v1/storage-elements", json={"url": element.url})).status == 201

    async def is_waited_for() -> bool:
        return (
            await times_asked(admin.url, REVOCATIONS_PATH) > 0
            and await times_asked(element.url, "/api/v1/journal") > 1
        )

    await eventually(is_waited_for)
    return element


async def test_an_admin_that_stops_is_asked_on_for_revocations_but_not_in_a_loop(
    admin: AdminClient, followed: ElementServer
) -> None:
    account = await admin.create_account("billing")
    token = await admin.token(ClientCredentials(account["client_id"], account["client_secret"]))
    admin.stopping.set()

    assert await asked_no_faster_than_pauses_allow(lambda: times_asked(admin.url, REVOCATIONS_PATH))

    # In one process with others, admin takes requests until they have finished theirs.
    await admin.request("POST", f"{ACCOUNTS}/{account['id']}/suspend")

    async def is_refused() -> bool:
        answer = await admin.send_to(followed.url, "GET", "/api/v1/files", token=token)
        return answer.status == 401

    await eventually(is_refused)


async def test_an_element_that_stops_is_not_asked_for_its_journal_in_a_loop(
    admin: AdminClient, followed: ElementServer
) -> None:
    followed.stopping.set()

    assert await asked_no_faster_than_pauses_allow(lambda: times_asked(followed.url, "/api/v1/journal"))
