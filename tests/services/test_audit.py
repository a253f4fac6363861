"""What every role does is in admin's log: whatever was asked, whoever asked it, whoever was away."""

import asyncio
import re
from typing import Any, Final

import pytest

from artstore.cli.composition import ROLES, make_app
from artstore.core.config import RoleName, Settings
from artstore.core.http.operations import Operation
from artstore.core.ids import new_file_id
from artstore.core.keys import ENDPOINTS
from artstore.core.scopes import SERVICE_SCOPES
from tests.services.admin.harness import eventually
from tests.services.ingester.harness import Ingesting, start_ingesting
from tests.services.roles import Roles, RoleServer, described
from tests.services.storage_element.harness import Answer

LOG: Final = "/api/v1/audit-log"
SAFE: Final = {"search", "introspect_token", "receive_audit_records"}
"""Two only read; what the third takes are records, each of which says who reported it."""


@pytest.fixture
async def cluster(roles: Roles) -> Ingesting:
    """One element, and all other roles but query."""
    return await start_ingesting(roles, [await roles.start_element()])


async def records(roles: Roles, admin: RoleServer, **wanted: str) -> list[dict[str, Any]]:
    """What the log has, the newest first."""
    asked = "&".join(f"{name}={value}" for name, value in wanted.items())
    answer = await roles.request("GET", f"{admin.url}{LOG}?limit=1000&{asked}")
    assert answer.status == 200, answer
    return [item["record"] for item in answer.json()["items"]]


async def verified(roles: Roles, admin: RoleServer) -> dict[str, Any]:
    """What verifying the log says."""
    report: dict[str, Any] = (await roles.request("GET", f"{admin.url}{LOG}/verify")).json()
    return report


async def test_one_request_is_recorded_at_every_role_that_it_passes(cluster: Ingesting) -> None:
    answer = await cluster.post()
    assert answer.status == 201, answer
    wanted = {"request_id": answer.headers["X-Request-ID"]}

    async def are_there() -> list[dict[str, Any]] | None:
        found = await records(cluster.roles, cluster.admin, **wanted)
        return found if {each["role"] for each in found} >= {"admin", "element", "ingester"} else None

    found = {record["role"]: record for record in await eventually(are_there) or []}
    assert {record["outcome"] for record in found.values()} == {"succeeded"}
    assert "administrator" in found["ingester"]["actor"]["client_id"]
    assert "ingester" in found["element"]["actor"]["client_id"]
    assert "element" in found["element"]["reported_by"]
    assert found["ingester"]["detail"] == {"file_id": answer.json()["file_id"], "element_id": "se-01"}


async def test_what_was_done_while_admin_was_away_is_in_the_log_when_it_is_back(cluster: Ingesting) -> None:
    roles, (element,) = cluster.roles, cluster.elements
    token = await roles.token()
    await cluster.admin.stop()
    file_id = new_file_id()
    url = f"{element.url}/api/v1/files/{file_id}/content"
    stored = await roles.request("PUT", url, token=token, headers=described(), data=b"text")
    assert stored.status == 201, stored
    assert (await roles.readiness(element))["status"] != "fail"
    await element.stop()  # what waits on its disk outlives it

    await cluster.admin.start()
    await element.start()

    async def is_there() -> list[dict[str, Any]]:
        return await records(roles, cluster.admin, request_id=stored.headers["X-Request-ID"])

    (record,) = await eventually(is_there)
    assert record["resource"] == f"/api/v1/files/{file_id}/content"
    assert (await verified(roles, cluster.admin))["is_sound"]


async def test_a_line_that_a_disk_has_damaged_keeps_no_other_from_the_log(cluster: Ingesting) -> None:
    roles, (element,) = cluster.roles, cluster.elements
    token = await roles.token()
    await cluster.admin.stop()
    stored = await put(roles, element, token)
    await element.stop()
    [spool] = (roles.data / "audit").glob("element-*/*.jsonl")
    lines = spool.read_bytes().splitlines(keepends=True)
    spool.write_bytes(b"".join([*lines[:1], b"\0\0\0\n", *lines[1:]]))

    await cluster.admin.start()
    await element.start()

    async def is_there() -> list[dict[str, Any]]:
        return await records(roles, cluster.admin, request_id=stored.headers["X-Request-ID"])

    assert await eventually(is_there)


async def test_what_an_element_removes_by_itself_is_in_the_log(roles: Roles) -> None:
    admin = await roles.start("admin")
    element = await roles.start_element(element={"collection": {"interval": 0.2, "removal_delay": 0.00001}})
    answer = await put(roles, element, await roles.token(), retention_policy="temporary")
    stored = answer.json()["attributes"]
    file_id = stored["file_id"]
    await roles.request("DELETE", f"{element.url}/api/v1/files/{file_id}")

    async def is_told() -> list[dict[str, Any]]:
        return await records(roles, admin, event="garbage_collected")

    (record,) = await eventually(is_told)
    assert (record["kind"], record["role"], record["detail"]) == ("system_event", "element", {"removal": 1})
    (removed,) = await records(roles, admin, event="garbage_removed")
    assert (removed["kind"], removed["resource"]) == ("system_event", f"/api/v1/files/{file_id}")
    assert removed["detail"] == {
        "why": "removal",
        "key": f"{stored['storage_path']}/{stored['storage_filename']}",
    }


async def test_the_spool_of_a_role_is_measured(cluster: Ingesting) -> None:
    roles, (element,) = cluster.roles, cluster.elements
    token = await roles.token()
    await cluster.admin.stop()
    await roles.request("GET", f"{element.url}/api/v1/info", token=token)

    async def waits() -> bool:
        depth = await roles.metric(element, "artstore_audit_spool_records")
        age = await roles.metric(element, "artstore_audit_oldest_unshipped_seconds")
        failures = await roles.metric(element, "artstore_audit_shipping_failures_total")
        return min(depth, age, failures) > 0

    await eventually(waits)
    await cluster.admin.start()

    async def is_shipped() -> bool:
        return await roles.metric(element, "artstore_audit_spool_records") == 0

    await eventually(is_shipped)


async def test_a_full_spool_refuses_changes_and_gives_out_what_there_is(roles: Roles) -> None:
    admin = await roles.start("admin")
    token = await roles.token()
    element = await roles.start_element(audit={"spool_size": 64 * 1024})
    stored = await put(roles, element, token)
    assert stored.status == 201, stored
    await admin.stop()

    async def is_refused() -> bool:
        answers = await asyncio.gather(*(delete_nothing(roles, element, token) for _ in range(100)))
        return 503 in answers

    await eventually(is_refused, patience=60)

    refused = await put(roles, element, token)
    assert (refused.status, refused.json()["type"]) == (503, "urn:artstore:problem:unavailable")
    read = await roles.request(
        "GET", f"{element.url}/api/v1/files/{stored.json()['attributes']['file_id']}/download", token=token
    )
    assert read.status == 200


async def put(roles: Roles, element: RoleServer, token: str, **attributes: Any) -> Answer:
    url = f"{element.url}/api/v1/files/{new_file_id()}/content"
    return await roles.request("PUT", url, token=token, headers=described(**attributes), data=b"text")


async def delete_nothing(roles: Roles, element: RoleServer, token: str) -> int:
    url = f"{element.url}/api/v1/files/{new_file_id()}"
    return (await roles.request("DELETE", url, token=token)).status


async def test_every_change_of_every_role_leaves_a_record_also_when_it_is_refused(roles: Roles) -> None:
    """Each operation is asked for by nobody, by an account without its scope, and by one with it."""
    admin = await roles.start("admin")
    servers: dict[RoleName, RoleServer] = {
        "admin": admin,
        "element": await roles.start_element(),
        "ingester": await roles.start("ingester"),
        "query": await roles.start("query"),
    }
    expected = dict[tuple[str, str], tuple[str, str, str | None]]()
    for role, operation in await asyncio.to_thread(changes):
        url = servers[role].url + example(operation.path)
        outsider, insider = permitted(operation, have=False), permitted(operation, have=True)
        for account, outcomes in ((None, "denied"), (outsider, "denied"), (insider, "succeeded failed")):
            if (operation.public and account is not None) or (
                operation.principal_kind and outcomes != "denied"
            ):
                continue  # people are none of these accounts
            token = "no-token" if account is None else await roles.token(account)
            answer = await roles.request(operation.method, url, token=token, json={})
            actor = None if account is None else account
            expected[role, answer.headers["X-Request-ID"]] = (operation.name, outcomes, actor)

    async def all_are_there() -> dict[tuple[str, str], dict[str, Any]] | None:
        found = {(each["role"], each.get("request_id", "")): each for each in await records(roles, admin)}
        return found if expected.keys() <= found.keys() else None

    found = await eventually(all_are_there, patience=60) or {}
    for asked, (name, outcomes, actor) in expected.items():
        record = found[asked]
        assert record["event"] == name
        assert record["outcome"] in outcomes.split(), record
        assert (actor or "") in record.get("actor", {"client_id": ""})["client_id"], record
    assert (await verified(roles, admin))["is_sound"]
    assert len(expected) > 60


def operations() -> list[tuple[RoleName, Operation]]:
    """Every operation of every role."""
    return [
        (role, endpoint.operation)
        for role in ROLES
        for endpoint in make_app(role, Settings())[ENDPOINTS].values()
    ]


def changes() -> list[tuple[RoleName, Operation]]:
    """Those that may change something: all by such a method but those of :data:`SAFE`."""
    return [
        (role, operation)
        for role, operation in operations()
        if operation.method not in ("GET", "HEAD") and operation.name not in SAFE
    ]


def test_nothing_is_left_out_that_changes_anything() -> None:
    assert {operation.name for _, operation in operations() if operation.is_safe} == SAFE


def permitted(operation: Operation, *, have: bool) -> str:
    """A system account that has the scope of an operation, or one that does not."""
    if operation.scope is None:
        return "administrator"
    of_roles = [name for name, scopes in SERVICE_SCOPES.items() if (operation.scope in scopes) is have]
    return (of_roles if not have else [*of_roles, "administrator"])[0]


def example(path: str) -> str:
    """A path that the template matches, of something that is not there."""
    return re.sub(r"\{[^}]*\}", str(new_file_id()), path)
