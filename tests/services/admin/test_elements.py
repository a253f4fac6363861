"""The registry of storage elements, over HTTP, with real elements that come, go and move."""

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from artstore.core.scopes import ROLE_SCOPES
from artstore.core.testing.listening import LoopbackServer
from artstore.services.admin import element_watch
from tests.services.admin.conftest import StartAdmin
from tests.services.admin.harness import (
    ELEMENTS,
    AdminClient,
    ElementServer,
    Port,
    eventually,
    sql,
)

NOWHERE: Final = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elements are looked at again soon."""
    monkeypatch.setattr(element_watch, "INTERVAL", 0.05)


async def register(admin: AdminClient, url: str) -> dict[str, Any]:
    answer = await admin.request("POST", ELEMENTS, json={"url": url})
    assert answer.status == 201, answer
    element: dict[str, Any] = answer.json()
    return element


async def wait_for_status(admin: AdminClient, element_id: str, status: str) -> dict[str, Any]:
    async def has_status() -> dict[str, Any] | None:
        element: dict[str, Any] = await admin.get(f"{ELEMENTS}/{element_id}")
        return element if element["status"] == status else None

    return await eventually(has_status) or {}


async def test_an_element_is_registered_with_what_it_says_of_itself(
    admin: AdminClient, element: ElementServer
) -> None:
    registered = await register(admin, f"{element.url}/")

    assert registered["element_id"] == "se-01"
    assert registered["url"] == element.url
    assert registered["mode"] == "edit"
    assert registered["storage_type"] == "local"
    assert registered["status"] == "online"
    assert registered["capacity"]["status"] in {"ok", "warning", "critical", "full"}
    assert registered["capacity"]["total"] > registered["capacity"]["free"] > 0
    found = await admin.get(f"{ELEMENTS}/se-01")
    assert (
        found.items()
        >= {k: v for k, v in registered.items() if k not in ("last_seen_at", "capacity")}.items()
    )
    page = await admin.get(ELEMENTS)
    assert [each["element_id"] for each in page["items"]] == ["se-01"]
    assert (page["total"], page["has_more"]) == (1, False)


async def test_registering_again_changes_nothing(admin: AdminClient, element: ElementServer) -> None:
    first = await register(admin, element.url)

    again = await register(admin, element.url)

    assert again["registered_at"] == first["registered_at"]
    assert (await admin.get(ELEMENTS))["total"] == 1


async def test_elements_of_the_configuration_are_registered_when_they_answer(
    start: StartAdmin, tmp_path: Path, port: Port
) -> None:
    server = ElementServer(tmp_path, port)
    async with start(elements=[server.url]) as admin:
        assert (await admin.get(ELEMENTS))["items"] == []
        assert await admin.check("elements") == "degraded"

        async with server.running():
            await eventually(lambda: is_ok(admin, "elements"))
            [element] = (await admin.get(ELEMENTS))["items"]

    assert element["url"] == server.url


async def is_ok(admin: AdminClient, check: str) -> bool:
    return await admin.check(check) == "ok"


async def is_degraded(admin: AdminClient, check: str) -> bool:
    return await admin.check(check) == "degraded"


async def test_an_element_that_stops_goes_offline_and_comes_back(
    admin: AdminClient, tmp_path: Path, port: Port
) -> None:
    server = ElementServer(tmp_path, port)
    with capture_logs() as logs:
        async with server.running():
            before = await register(admin, server.url)
        offline = await wait_for_status(admin, "se-01", "offline")
        assert offline["last_seen_at"] >= before["last_seen_at"]
        assert await admin.check("elements") == "degraded"
        assert await admin.metric("artstore_dependency_up", dependency="elements") == 0
        async with server.running():
            online = await wait_for_status(admin, "se-01", "online")
            await eventually(lambda: is_ok(admin, "elements"))
    assert online["last_seen_at"] > offline["last_seen_at"]
    events = [log["event"] for log in logs if log.get("source") == "elements"]
    assert events == ["element_went_offline", "element_came_online"]


async def test_what_an_element_says_is_looked_at_again(
    admin: AdminClient, tmp_path: Path, port: Port
) -> None:
    async with ElementServer(tmp_path, port).running() as server:
        await register(admin, server.url)
        await sql(admin, "UPDATE elements SET mode = 'ro', priority = 5, name = 'old', capacity_free = 0")

        async def is_right_again() -> bool:
            found = await admin.get(f"{ELEMENTS}/se-01")
            return (found["mode"], found["priority"], found["name"]) == ("edit", 100, "storage element")

        await eventually(is_right_again)


async def test_elements_are_filtered_and_sliced_in_the_order_of_preference(
    admin: AdminClient, tmp_path: Path, port: Port
) -> None:
    rw = ElementServer(tmp_path, port, element_id="se-rw", mode="rw")
    edit = ElementServer(tmp_path, port, element_id="se-edit", priority=1)
    async with rw.running(), edit.running():
        await register(admin, rw.url)
        await register(admin, edit.url)

        assert [e["element_id"] for e in (await admin.get(ELEMENTS))["items"]] == ["se-edit", "se-rw"]
        assert [e["element_id"] for e in (await admin.get(ELEMENTS, mode="rw"))["items"]] == ["se-rw"]
        assert (await admin.get(ELEMENTS, status="offline"))["items"] == []
        assert (await admin.get(ELEMENTS, status="online"))["total"] == 2
        first, second = await admin.get(ELEMENTS, limit=1), await admin.get(ELEMENTS, limit=1, offset=1)
        assert (first["has_more"], second["has_more"]) == (True, False)
        assert [e["element_id"] for e in (*first["items"], *second["items"])] == ["se-edit", "se-rw"]


async def test_an_element_that_does_not_answer_is_not_registered(admin: AdminClient) -> None:
    answer = await admin.request("POST", ELEMENTS, json={"url": NOWHERE})

    assert (answer.status, answer.problem) == (503, "unavailable")
    assert "Retry-After" in answer.headers


async def test_what_is_not_an_element_is_not_registered(admin: AdminClient) -> None:
    itself = await admin.request("POST", ELEMENTS, json={"url": admin.url})

    assert (itself.status, itself.problem) == (502, "upstream-failed")
    assert (await admin.get(ELEMENTS))["items"] == []


async def test_an_answer_that_never_ends_is_given_up(
    admin: AdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)

    trickling = web.Application()
    trickling.router.add_get("/api/v1/info", drip)
    monkeypatch.setattr("artstore.services.admin.elements.ASK_TIMEOUT", 0.2)
    async with LoopbackServer(trickling) as server:
        answer = await admin.request("POST", ELEMENTS, json={"url": str(server.make_url(""))})

    assert answer.status == 503


NO_URLS: Final = [
    "",
    "se-01",
    "ftp://127.0.0.1/",
    "file:///etc/passwd",
    "http://user:password@127.0.0.1",
    "http://127.0.0.1?x=1",
    "http://127.0.0.1#x",
    "http://[0]",
    "http://[::1]:99999",
    "http://127.0.0.1 ",
    "http://127.0.0.1\n",
    "http://",
    "http://127.0.0.1/" + "a" * 300,
    "http://эл.example",
    "http://..",
    "http://::::",
    "http://[::1",
    "http://" + "a" * 64,
    "http://127.0.0.1:",
]


async def test_a_url_that_is_none_is_refused(admin: AdminClient) -> None:
    answers = {url: await admin.request("POST", ELEMENTS, json={"url": url}) for url in NO_URLS}

    told = {url: (answer.status, answer.json()["errors"][0]["path"]) for url, answer in answers.items()}
    assert told == dict.fromkeys(NO_URLS, (400, "url"))


@pytest.mark.parametrize(
    ("url", "status"),
    [("http://127.0.0.1:99999", 400), ("http://[::ffff:0:0:0:0:0:0:1]", 400), ("http://a-.invalid", 503)],
)
async def test_a_url_that_leads_nowhere_is_no_crash(admin: AdminClient, url: str, status: int) -> None:
    answer = await admin.request("POST", ELEMENTS, json={"url": url})

    assert answer.status == status


async def test_an_element_that_moved_is_registered_at_its_new_place(
    admin: AdminClient, tmp_path: Path, port: Port
) -> None:
    async with ElementServer(tmp_path, port).running() as old:
        await register(admin, old.url)
    async with ElementServer(tmp_path, port).running() as new:
        moved = await register(admin, new.url)

        assert moved["url"] == new.url != old.url
        assert (await admin.get(ELEMENTS))["total"] == 1


async def test_one_identity_in_two_places_is_refused(admin: AdminClient, tmp_path: Path, port: Port) -> None:
    async with (
        ElementServer(tmp_path, port, directory="one").running() as one,
        ElementServer(tmp_path, port, directory="other").running() as other,
    ):
        await register(admin, one.url)

        answer = await admin.request("POST", ELEMENTS, json={"url": other.url})

        assert (answer.status, answer.problem) == (409, "already-exists")
        assert one.url in answer.json()["detail"]
        assert (await admin.get(f"{ELEMENTS}/se-01"))["url"] == one.url


async def test_another_element_at_the_same_place_does_not_pass_for_the_first(
    admin: AdminClient, tmp_path: Path, port: Port
) -> None:
    first = ElementServer(tmp_path, port)
    async with first.running():
        await register(admin, first.url)
    second = ElementServer(tmp_path, port, element_id="se-02", place=first.port)

    async with second.running():
        await sql(admin, "UPDATE elements SET status = 'online'")

        await wait_for_status(admin, "se-01", "offline")


async def test_a_deleted_element_is_forgotten_and_keeps_running(
    admin: AdminClient, element: ElementServer
) -> None:
    await register(admin, element.url)

    assert (await admin.request("DELETE", f"{ELEMENTS}/se-01")).status == 204

    assert (await admin.request("GET", f"{ELEMENTS}/se-01")).status == 404
    assert (await admin.request("DELETE", f"{ELEMENTS}/se-01")).status == 404
    await register(admin, element.url)


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", ELEMENTS, "storage:read"),
        ("GET", f"{ELEMENTS}/x", "storage:read"),
        ("POST", ELEMENTS, "storage:admin"),
        ("DELETE", f"{ELEMENTS}/x", "storage:admin"),
    ],
)
async def test_each_operation_needs_its_scope(admin: AdminClient, method: str, path: str, scope: str) -> None:
    others = " ".join(sorted(ROLE_SCOPES["ADMIN"] - {scope}))
    token = await admin.token(admin.credentials(), scope=others)

    answer = await admin.request(method, path, token=token)

    assert answer.status == 403
    assert scope in answer.json()["detail"]
