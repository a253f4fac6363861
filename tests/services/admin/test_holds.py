"""Holds through admin, and what admin does not delete either."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from tests.services.admin.harness import (
    ELEMENTS,
    FILES,
    AdminClient,
    ElementServer,
    eventually,
)

TEMPORARY: Final = {"retention_policy": "temporary"}
LATER: Final = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
async def registered(admin: AdminClient, element: ElementServer) -> ElementServer:
    """An element that admin knows."""
    await admin.request("POST", ELEMENTS, json={"url": element.url})
    return element


async def put(admin: AdminClient, element: ElementServer, **attributes: Any) -> str:
    """Store a file, and wait until admin knows it; its path at admin."""
    stored = await element.put(await admin.token(admin.credentials("ingester")), **attributes)
    path = f"{FILES}/{stored['attributes']['file_id']}"

    async def is_known() -> bool:
        return (await admin.request("GET", path)).status == 200

    await eventually(is_known)
    return path


async def test_a_hold_is_placed_in_the_name_of_who_asks(
    admin: AdminClient, registered: ElementServer
) -> None:
    path = await put(admin, registered, **TEMPORARY)

    placed = await admin.request("POST", f"{path}/holds", json={"id": "case-7", "reason": "court"})
    again = await admin.request("POST", f"{path}/holds", json={"id": "case-7", "reason": "court"})

    (hold,) = placed.json()["items"]
    assert (placed.status, again.status) == (201, 200)
    assert (hold["id"], hold["reason"], hold["placed_by"]) == ("case-7", "court", "administrator")
    assert (await admin.get(f"{path}/holds"))["items"] == [hold]
    # At once, without waiting for the journal.
    assert (await admin.get(path))["attributes"]["retention"]["holds"] == [hold]


async def test_a_held_file_is_deleted_after_its_release(
    admin: AdminClient, registered: ElementServer
) -> None:
    path = await put(admin, registered, **TEMPORARY)
    await admin.request("POST", f"{path}/holds", json={"id": "case-7", "reason": "court"})

    held = await admin.request("DELETE", path)
    released = await admin.request("DELETE", f"{path}/holds/case-7")
    deleted = await admin.request("DELETE", path)

    assert (held.status, held.problem) == (409, "retention-active")
    assert "case-7" in held.json()["detail"]
    assert (released.status, deleted.status) == (204, 204)


@pytest.mark.parametrize("attributes", [{}, {"expires_at": LATER}], ids=["for ever", "until tomorrow"])
async def test_a_file_that_must_be_kept_is_not_deleted_by_admin(
    admin: AdminClient, registered: ElementServer, attributes: dict[str, Any]
) -> None:
    path = await put(admin, registered, **attributes)

    answer = await admin.request("DELETE", path)

    assert (answer.status, answer.problem) == (409, "retention-active")
    assert (await admin.request("GET", path)).status == 200
    assert (await admin.send_to(registered.url, "GET", f"{path}/download")).body == b"text"


async def test_what_is_not_there_is_neither_held_nor_released(
    admin: AdminClient, registered: ElementServer
) -> None:
    path = await put(admin, registered)
    missing = f"{FILES}/{uuid.uuid4()}/holds"

    answers = [
        await admin.request("POST", missing, json={"reason": "r"}),
        await admin.request("GET", missing),
        await admin.request("DELETE", f"{missing}/a"),
        await admin.request("DELETE", f"{path}/holds/a"),
        await admin.request("DELETE", f"{path}/holds/a%2Fb"),
    ]

    assert [answer.status for answer in answers] == [404] * 5


async def test_a_malformed_hold_is_refused(admin: AdminClient, registered: ElementServer) -> None:
    path = await put(admin, registered)

    answer = await admin.request("POST", f"{path}/holds", json={"id": "a b", "reason": ""})

    assert answer.status == 400
    assert [fault["path"] for fault in answer.json()["errors"]] == ["id", "reason"]


@pytest.mark.parametrize(
    ("method", "suffix", "scope"),
    [
        ("POST", "/holds", "storage:admin"),
        ("GET", "/holds", "files:read"),
        ("DELETE", "/holds/a", "storage:admin"),
    ],
)
async def test_each_operation_on_holds_needs_its_scope(
    admin: AdminClient, method: str, suffix: str, scope: str
) -> None:
    token = await admin.token(admin.credentials(), scope="files:write files:delete storage:write")

    answer = await admin.request(method, f"{FILES}/{uuid.UUID(int=1)}{suffix}", token=token)

    assert answer.status == 403
    assert scope in answer.json()["detail"]
