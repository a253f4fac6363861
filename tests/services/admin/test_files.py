"""The registry of files: registered, listed, found, deleted."""

import uuid
from pathlib import Path
from typing import Any, Final

import pytest

from artstore.core.scopes import ROLE_SCOPES
from tests.services.admin.conftest import StartAdmin
from tests.services.admin.harness import (
    ELEMENTS,
    FILES,
    AdminClient,
    ElementServer,
    Port,
    eventually,
    run_sql,
    sql,
)

FAR_AWAY: Final = 2**62
"""Microseconds since 1970."""


@pytest.fixture
def start(start: StartAdmin, tmp_path: Path) -> StartAdmin:
    """Starts an admin that does not index: another process, which sleeps, holds the lease."""
    run_sql(
        tmp_path,
        f"INSERT INTO leases VALUES ('indexer', 'a sleeper', 7, {FAR_AWAY})"
        f" ON CONFLICT (name) DO UPDATE SET expires_at = {FAR_AWAY}",
    )
    return start


@pytest.fixture
async def registered(admin: AdminClient, element: ElementServer) -> ElementServer:
    """An element that admin knows."""
    answer = await admin.request("POST", ELEMENTS, json={"url": element.url})
    assert answer.status == 201, answer
    return element


def registration(*stored: dict[str, Any]) -> dict[str, Any]:
    """What the ingester makes of the element's answers."""
    return {
        "element_id": stored[0]["element_id"],
        "epoch": stored[0]["epoch"],
        "items": [{**each["entry"], "attributes": each["attributes"]} for each in stored],
    }


async def hand_over(admin: AdminClient, *stored: dict[str, Any], **changes: Any) -> dict[str, Any]:
    token = await admin.token(admin.credentials("ingester"))
    answer = await admin.request("POST", FILES, token=token, json=registration(*stored) | changes)
    assert answer.status == 200, answer
    result: dict[str, Any] = answer.json()
    return result


async def put(
    admin: AdminClient, element: ElementServer, name: str = "report.txt", **attributes: Any
) -> dict[str, Any]:
    return await element.put(await admin.token(admin.credentials("ingester")), name=name, **attributes)


async def names(admin: AdminClient, **query: object) -> list[str]:
    return [file["attributes"]["original_filename"] for file in (await admin.get(FILES, **query))["items"]]


async def test_a_registered_file_is_found_at_once(admin: AdminClient, registered: ElementServer) -> None:
    stored = await put(admin, registered)

    result = await hand_over(admin, stored)

    assert result == {"written": 1, "confirmed": 0, "removed": 0, "skipped": 0}
    file = await admin.get(f"{FILES}/{stored['attributes']['file_id']}")
    assert file == {"element_id": "se-01", "position": "se-01:1", "attributes": stored["attributes"]}


async def test_registering_again_changes_nothing(admin: AdminClient, registered: ElementServer) -> None:
    stored = await put(admin, registered)
    await hand_over(admin, stored)

    again = await hand_over(admin, stored)

    assert again["written"] == 0
    assert len(await names(admin)) == 1


async def test_many_files_are_registered_together(admin: AdminClient, registered: ElementServer) -> None:
    stored = [await put(admin, registered, f"{number}.txt") for number in range(5)]

    assert (await hand_over(admin, *stored))["written"] == 5

    assert await names(admin) == ["4.txt", "3.txt", "2.txt", "1.txt", "0.txt"]


async def test_files_of_an_unknown_element_are_not_registered(
    admin: AdminClient, element: ElementServer
) -> None:
    stored = await put(admin, element)
    token = await admin.token(admin.credentials("ingester"))

    answer = await admin.request("POST", FILES, token=token, json=registration(stored))

    assert (answer.status, answer.problem) == (404, "not-found")
    assert await names(admin) == []


async def test_a_malformed_registration_is_refused(admin: AdminClient, registered: ElementServer) -> None:
    good = registration(await put(admin, registered))
    token = await admin.token(admin.credentials("ingester"))
    bad: list[tuple[dict[str, Any], str]] = [
        ({"items": []}, "items"),
        ({"epoch": ""}, "epoch"),
        ({"extra": 1}, "extra"),
        ({"items": [{**good["items"][0], "sequence": 0}]}, "items.0.sequence"),
        ({"items": [{**good["items"][0], "sequence": "1"}]}, "items.0.sequence"),
        ({"items": [{**good["items"][0], "attributes": {"file_size": -1}}]}, "items.0.attributes.file_size"),
    ]

    for change, path in bad:
        answer = await admin.request("POST", FILES, token=token, json=good | change)
        assert answer.status == 400, change
        assert path in [error["path"] for error in answer.json()["errors"]]
    assert await names(admin) == []


async def test_files_are_listed_newest_first_by_offset_and_by_cursor(
    admin: AdminClient, registered: ElementServer
) -> None:
    await hand_over(admin, *[await put(admin, registered, f"{number}.txt") for number in range(5)])

    first = await admin.get(FILES, limit=2)
    second = await admin.get(FILES, limit=2, after=first["next_after"])
    last = await admin.get(FILES, limit=2, after=second["next_after"])

    assert first["total"] == 5
    assert [len(page["items"]) for page in (first, second, last)] == [2, 2, 1]
    assert [page["has_more"] for page in (first, second, last)] == [True, True, False]
    assert "next_after" not in last
    assert await names(admin, limit=2, offset=2) == ["2.txt", "1.txt"]
    assert await names(admin, limit=2, after=first["next_after"]) == ["2.txt", "1.txt"]
    assert await names(admin, element_id="se-99") == []


@pytest.mark.parametrize("query", ["after=x", "after=1&offset=1", "element_id=", "limit=0", "nonsense=1"])
async def test_a_list_that_makes_no_sense_is_refused(admin: AdminClient, query: str) -> None:
    answer = await admin.request("GET", f"{FILES}?{query}")

    assert (answer.status, answer.problem) == (400, "invalid-request")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_file_that_is_not_there_is_not_found(admin: AdminClient, method: str) -> None:
    missing = await admin.request(method, f"{FILES}/{uuid.uuid4()}")
    malformed = await admin.request(method, f"{FILES}/report.txt")

    assert (missing.status, missing.problem) == (404, "not-found")
    assert malformed.status == 400


async def test_a_deleted_file_is_gone_from_its_element_and_at_once_from_the_index(
    admin: AdminClient, registered: ElementServer
) -> None:
    kept = await put(admin, registered, "kept.txt")
    deleted = await put(admin, registered, "deleted.txt", retention_policy="temporary")
    await hand_over(admin, kept, deleted)
    path = f"{FILES}/{deleted['attributes']['file_id']}"

    answer = await admin.request("DELETE", path)

    assert (answer.status, answer.body) == (204, b"")
    assert (await admin.request("GET", path)).status == 404
    assert (await admin.request("DELETE", path)).status == 404
    assert await names(admin) == ["kept.txt"]
    on_element = await admin.send_to(registered.url, "GET", path)
    assert on_element.status == 404


async def test_the_mode_of_the_element_protects_its_files(
    admin: AdminClient, tmp_path: Path, port: Port
) -> None:
    async with ElementServer(tmp_path, port, element_id="se-rw", mode="rw").running() as element:
        await admin.request("POST", ELEMENTS, json={"url": element.url})
        stored = await put(admin, element)
        await hand_over(admin, stored)

        answer = await admin.request("DELETE", f"{FILES}/{stored['attributes']['file_id']}")

    assert (answer.status, answer.problem) == (409, "mode-not-allowed")
    assert "se-rw" in answer.json()["detail"]
    assert await names(admin) == ["report.txt"]


async def test_a_file_cannot_be_deleted_while_its_element_is_down(
    admin: AdminClient, tmp_path: Path, port: Port
) -> None:
    async with ElementServer(tmp_path, port).running() as element:
        await admin.request("POST", ELEMENTS, json={"url": element.url})
        stored = await put(admin, element)
        await hand_over(admin, stored)

    answer = await admin.request("DELETE", f"{FILES}/{stored['attributes']['file_id']}")

    assert (answer.status, answer.problem) == (503, "unavailable")
    assert "Retry-After" in answer.headers
    assert await names(admin) == ["report.txt"]


async def test_a_file_of_an_element_that_was_removed_tells_what_to_do(
    admin: AdminClient, registered: ElementServer
) -> None:
    stored = await put(admin, registered)
    await hand_over(admin, stored)
    await admin.request("DELETE", f"{ELEMENTS}/se-01")

    answer = await admin.request("DELETE", f"{FILES}/{stored['attributes']['file_id']}")

    assert answer.status == 503
    assert "register" in answer.json()["detail"]


async def test_a_registration_that_comes_before_the_journal_is_not_undone_by_it(
    admin: AdminClient, registered: ElementServer
) -> None:
    first, second = await put(admin, registered, "first.txt"), await put(admin, registered, "second.txt")
    await hand_over(admin, second)

    await sql(admin, "UPDATE leases SET expires_at = 1 WHERE name = 'indexer'")

    async def are_both_there() -> bool:
        return sorted(await names(admin)) == ["first.txt", "second.txt"]

    await eventually(are_both_there)
    file = await admin.get(f"{FILES}/{first['attributes']['file_id']}")
    assert file["position"] == "se-01:1"


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", FILES, "files:read"),
        ("GET", f"{FILES}/{uuid.UUID(int=1)}", "files:read"),
        ("DELETE", f"{FILES}/{uuid.UUID(int=1)}", "files:delete"),
        ("POST", FILES, "index:write"),
    ],
)
async def test_each_operation_needs_its_scope(admin: AdminClient, method: str, path: str, scope: str) -> None:
    others = " ".join(sorted(ROLE_SCOPES["ADMIN"] - {scope}))
    token = await admin.token(admin.credentials(), scope=others)

    answer = await admin.request(method, path, token=token)

    assert answer.status == 403
    assert scope in answer.json()["detail"]
