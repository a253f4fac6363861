"""The audit log over HTTP: who was allowed or refused what, who changed what, and how it is read."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest

from artstore.core.client.tokens import ClientCredentials
from tests.cluster import request
from tests.services.admin.conftest import StartAdmin
from tests.services.admin.harness import ACCOUNTS, FILES, AdminClient, Port, admin_settings, running_admin

LOG = "/api/v1/audit-log"


async def records(admin: AdminClient, **wanted: object) -> list[dict[str, Any]]:
    """Records of the log that are wanted, the newest first."""
    page = await admin.get(LOG, limit=1000, **wanted)
    return [item["record"] for item in page["items"]]


async def test_a_change_is_recorded_with_its_actor_request_and_outcome(admin: AdminClient) -> None:
    answer = await admin.request("POST", ACCOUNTS, json={"name": "billing", "role": "READONLY"})

    (record,) = await records(admin, event="create_service_account")
    assert record["kind"] == "sensitive_operation"
    assert (record["outcome"], record["status"]) == ("succeeded", 201)
    assert record["actor"]["client_id"] == admin.credentials().client_id
    assert record["request_id"] == answer.headers["X-Request-ID"]
    assert (record["method"], record["route"], record["resource"]) == ("POST", ACCOUNTS, ACCOUNTS)
    assert record["client_address"] == "127.0.0.1"
    assert record["detail"] == {"account_id": answer.json()["id"], "client_id": answer.json()["client_id"]}


async def test_a_change_that_fails_is_recorded_as_that(admin: AdminClient) -> None:
    missing = f"{ACCOUNTS}/7f0e0b6e-2f0b-4a51-a6de-1c1de0a7a0f1"

    assert (await admin.request("DELETE", missing)).status == 404

    (record,) = await records(admin, event="delete_service_account")
    assert (record["outcome"], record["status"], record["reason"]) == ("failed", 404, "not-found")
    assert record["resource"] == missing


async def test_a_request_without_a_token_is_recorded_as_refused(admin: AdminClient) -> None:
    refused = await admin.send("DELETE", f"{FILES}/7f0e0b6e-2f0b-4a51-a6de-1c1de0a7a0f1")

    (record,) = await records(admin, event="delete_file")
    assert (record["kind"], record["outcome"], record["status"]) == ("authentication", "denied", 401)
    assert record["request_id"] == refused.headers["X-Request-ID"]
    assert "actor" not in record


async def test_a_request_without_the_scope_is_recorded_with_who_sent_it(admin: AdminClient) -> None:
    account = await admin.create_account()
    credentials = ClientCredentials(account["client_id"], account["client_secret"])
    token = await admin.token(credentials)

    assert (await admin.request("POST", ACCOUNTS, token=token, json={})).status == 403

    (record,) = await records(admin, actor=credentials.client_id, outcome="denied")
    assert (record["kind"], record["event"]) == ("authorization", "create_service_account")
    assert record["reason"] == "lacks the scope accounts:write"


async def test_tokens_are_recorded_given_and_refused(admin: AdminClient) -> None:
    known = admin.credentials()
    await admin.administrator_token()
    await admin.ask_token(ClientCredentials(known.client_id, "ars_wrong"))
    await admin.ask_token(ClientCredentials("my-password-in-the-wrong-field", "x"))

    unknown, wrong, *given = await records(admin, event="issue_token")
    assert {record["outcome"] for record in given} == {"succeeded"}
    assert (wrong["outcome"], wrong["reason"]) == ("denied", "wrong_credentials")
    assert wrong["actor"]["client_id"] == known.client_id
    assert unknown["outcome"] == "denied"
    assert "actor" not in unknown
    exported = (await admin.request("GET", f"{LOG}/export")).body
    assert b"my-password" not in exported
    assert b"ars_" not in exported


async def test_equal_decisions_are_one_record_and_a_number(start: StartAdmin) -> None:
    async with start() as admin:
        for _ in range(5):
            await admin.send("GET", FILES)
    async with start() as admin:
        first, repeated = reversed(await records(admin, event="list_files"))

        assert first["times"] == 1
        assert repeated["times"] == 4
        assert {first["outcome"], repeated["outcome"]} == {"denied"}


async def test_the_path_is_recorded_encoded(admin: AdminClient) -> None:
    await admin.request("GET", f"{FILES}/%0d%0aevil%00%f0")

    (record,) = await records(admin, event="get_file")
    assert record["resource"].lower() == f"{FILES}/%0d%0aevil%00%f0"


async def test_nobody_hides_from_a_search_by_another_spelling_of_the_path(admin: AdminClient) -> None:
    account_id = (await admin.create_account())["id"]
    spellings = (
        account_id.upper(),
        account_id.replace("-", ""),
        f"urn:uuid:{account_id}",
        f"%{ord(account_id[0]):02x}{account_id[1:]}",
    )
    paths = [f"{ACCOUNTS}/{spelling}" for spelling in spellings]
    paths.append(f"/api/v1/%73ervice-accounts/{account_id}")

    headers = {"Authorization": f"Bearer {await admin.administrator_token()}"}
    for path in paths:
        # Not the usual client, which would correct the spelling.
        answer = await asyncio.to_thread(request, "POST", f"{admin.url}{path}/suspend", headers=headers)
        assert answer.status == 200, path

    found = await records(admin, resource=f"{ACCOUNTS}/{account_id}", event="suspend_account")
    assert len(found) == len(paths)


async def test_the_log_is_filtered_and_paged(admin: AdminClient) -> None:
    for number in range(5):
        await admin.create_account(f"account-{number}")

    found = await admin.get(LOG, event="create_service_account", limit=3)
    rest = await admin.get(LOG, event="create_service_account", limit=3, before=found["next"])

    assert (found["has_more"], rest["has_more"]) == (True, False)
    positions = [item["position"] for item in found["items"] + rest["items"]]
    assert len(positions) == 5
    assert positions == sorted(positions, reverse=True)
    moment = found["items"][0]["record"]["occurred_at"]
    assert len(await records(admin, event="create_service_account", until=moment)) == 4
    assert len(await records(admin, event="create_service_account", since=moment)) == 1
    request_id = found["items"][1]["record"]["request_id"]
    assert len(await records(admin, request_id=request_id)) == 1
    assert await records(admin, resource="/api/v1/storage-elements") == []
    assert len(await records(admin, resource=ACCOUNTS, kind="sensitive_operation")) == 5


@pytest.mark.parametrize(
    "moment", ["2026-01-01T00:00:00", "yesterday", "1700000000", "0001-01-01T00:00:00+23:59"]
)
async def test_a_time_that_is_in_doubt_is_refused(admin: AdminClient, moment: str) -> None:
    for name in ("since", "until"):
        answer = await admin.request("GET", f"{LOG}?{name}={quote(moment)}")

        assert (answer.status, answer.problem) == (400, "invalid-request")
        assert [each["path"] for each in answer.json()["errors"]] == [name]


async def test_only_auditors_read_it(admin: AdminClient) -> None:
    account = await admin.create_account(role="AUDITOR")
    auditor = await admin.token(ClientCredentials(account["client_id"], account["client_secret"]))
    other = await admin.create_account("other", role="OPERATOR")
    operator = await admin.token(ClientCredentials(other["client_id"], other["client_secret"]))

    for path in (LOG, f"{LOG}/verify", f"{LOG}/export"):
        assert (await admin.request("GET", path, token=auditor)).status == 200
        assert (await admin.request("GET", path, token=operator)).status == 403


async def test_a_role_hands_in_records_of_itself_once(admin: AdminClient) -> None:
    token = await admin.token(admin.credentials("ingester"))
    delivered = [ingester_record(1), ingester_record(2)]

    first = await admin.request("POST", f"{LOG}/records", token=token, json={"records": delivered})
    again = await admin.request("POST", f"{LOG}/records", token=token, json={"records": delivered})

    assert (first.json(), again.json()) == ({"added": 2}, {"added": 0})
    stored = await records(admin, role="ingester")
    assert [record["sequence"] for record in stored] == [2, 1]
    assert {record["reported_by"] for record in stored} == {admin.credentials("ingester").client_id}


async def test_no_role_speaks_for_another(admin: AdminClient) -> None:
    token = await admin.token(admin.credentials("query"))

    refused = await admin.request(
        "POST", f"{LOG}/records", token=token, json={"records": [ingester_record(1)]}
    )

    assert refused.status == 403
    assert await records(admin, role="ingester") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": 2**53},
        {"sequence": 2**80},
        {"times": 2**70},
        {"detail": {"number": 2**63}},
        {"occurred_at": "2026-01-01T00:00:00"},
        {"occurred_at": "9999-12-31T23:59:59-23:00"},
    ],
)
async def test_a_record_that_no_database_or_canonical_json_can_hold_is_refused(
    admin: AdminClient, changes: dict[str, Any]
) -> None:
    token = await admin.token(admin.credentials("ingester"))

    answer = await admin.request(
        "POST", f"{LOG}/records", token=token, json={"records": [{**ingester_record(1), **changes}]}
    )

    assert (answer.status, answer.problem) == (400, "invalid-request")


async def test_no_role_tells_what_only_the_log_itself_knows(admin: AdminClient) -> None:
    token = await admin.token(admin.credentials("ingester"))
    slander = {**ingester_record(1), "kind": "system_event", "event": "audit_log_broken_off"}

    answer = await admin.request("POST", f"{LOG}/records", token=token, json={"records": [slander]})

    assert answer.json() == {"added": 1}
    assert (await admin.get(f"{LOG}/verify"))["is_sound"]


async def test_records_that_never_came_are_told_of(admin: AdminClient) -> None:
    token = await admin.token(admin.credentials("ingester"))
    delivered = [ingester_record(sequence) for sequence in (1, 2, 5)]
    await admin.request("POST", f"{LOG}/records", token=token, json={"records": delivered})

    report = await admin.get(f"{LOG}/verify")

    assert not report["is_sound"]
    (gap,) = report["gaps"]
    assert (gap["after"], gap["next"]) == (2, 5)


async def test_several_processes_append_to_one_chain(start: StartAdmin, port: Port) -> None:
    async with start() as first:
        settings = admin_settings(first.data, Port.free(), issuer=port.url)
        async with running_admin(settings) as second:
            token = await first.administrator_token()
            await asyncio.gather(
                *(
                    admin.request("POST", ACCOUNTS, token=token, json={"name": f"account-{number}"})
                    for number in range(20)
                    for admin in (first, second)
                )
            )
            await second.get(LOG)
            report = await first.get(f"{LOG}/verify")

        assert report["is_sound"], report
        made = await records(first, event="create_service_account")
        assert len(made) == 40


async def test_a_restart_continues_the_chain(start: StartAdmin) -> None:
    async with start() as admin:
        await admin.create_account()
    async with start() as admin:
        report = await admin.get(f"{LOG}/verify")
        events = [record["event"] for record in await records(admin, kind="system_event")]

    assert report["is_sound"], report
    assert events[:3] == ["started", "stopped", "started"]


async def test_the_export_has_every_record_in_order(admin: AdminClient) -> None:
    await admin.create_account()

    exported = await admin.request("GET", f"{LOG}/export")

    lines = [json.loads(line) for line in exported.body.splitlines()]
    assert [line["position"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[-1]["record"]["event"] == "create_service_account"


async def test_keys_that_are_made_and_replaced_are_recorded(start_first: StartAdmin) -> None:
    async with start_first() as admin:
        rotated = await admin.request("POST", "/api/v1/jwt-keys/rotate", json={})
        assert rotated.status in (200, 201, 202), rotated

        (made,) = await records(admin, event="signing_key_made")
        (replaced,) = await records(admin, event="signing_key_rotated")
        assert made["kind"] == replaced["kind"] == "system_event"
        assert made["detail"]["kid"] != replaced["detail"]["kid"]


async def test_records_are_counted(admin: AdminClient) -> None:
    labels = {"kind": "sensitive_operation", "outcome": "succeeded"}
    before = await admin.metric("artstore_audit_records_total", **labels) or 0.0

    await admin.create_account()

    assert await admin.metric("artstore_audit_records_total", **labels) == before + 1


def ingester_record(sequence: int) -> dict[str, Any]:
    return {
        "occurred_at": "2026-01-01T00:00:00.000000Z",
        "kind": "sensitive_operation",
        "event": "upload_form",
        "outcome": "succeeded",
        "role": "ingester",
        "source": "ingester-0001",
        "sequence": sequence,
    }
