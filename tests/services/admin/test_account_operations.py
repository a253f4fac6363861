"""Service accounts over HTTP: changed, suspended, looked for, watched; system accounts stay as they are."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from artstore.core.client.tokens import ClientCredentials
from artstore.core.revocation import whole_client
from artstore.core.stores.revocations import RevocationRow
from tests.services.admin.conftest import StartAdmin
from tests.services.admin.harness import ACCOUNTS, AdminClient, claims_of, eventually, sql
from tests.services.admin.test_client_assertions import Client
from tests.services.storage_element.harness import Answer

FILES: Final = "/api/v1/files"
DESCRIBED: Final[dict[str, Any]] = {"name": "invoices", "description": "all of them", "role": "USER"}


def credentials_of(account: dict[str, Any]) -> ClientCredentials:
    return ClientCredentials(account["client_id"], account["client_secret"])


async def send(
    admin: AdminClient, method: str, account: dict[str, Any], suffix: str = "", **body: Any
) -> Answer:
    return await admin.request(method, f"{ACCOUNTS}/{account['id']}{suffix}", **body)


async def names(admin: AdminClient, **query: object) -> list[str]:
    return [account["name"] for account in (await admin.get(ACCOUNTS, **query))["items"]]


@asynccontextmanager
async def busy_database(data: Path) -> AsyncGenerator[sqlite3.Connection, None]:
    """Another process writes, and nobody else before it commits."""
    database = await asyncio.to_thread(
        sqlite3.connect, data / "index.db", isolation_level=None, check_same_thread=False
    )
    await asyncio.to_thread(database.execute, "BEGIN IMMEDIATE")
    try:
        yield database
    finally:
        await asyncio.to_thread(database.close)


async def system_account(admin: AdminClient) -> dict[str, Any]:
    [found] = (await admin.get(ACCOUNTS, search="sa_dev_ingester"))["items"]
    account: dict[str, Any] = found
    return account


async def test_an_account_is_described_anew(admin: AdminClient) -> None:
    account = await admin.create_account(
        "billing", description="bills", scopes=["storage:read"], rate_limit=60
    )

    answer = await send(admin, "PUT", account, json=DESCRIBED)

    changed = answer.json()
    assert answer.status == 200
    assert {name: changed[name] for name in DESCRIBED} == DESCRIBED
    assert changed["scopes"] == ["files:read", "files:write"]
    assert "rate_limit" not in changed
    assert changed["client_id"] == account["client_id"]
    assert changed["updated_at"] > account["updated_at"]
    assert (await admin.ask_token(credentials_of(account))).status == 200


PATCHES: Final[list[tuple[dict[str, Any], dict[str, Any]]]] = [
    ({"name": "invoices"}, {"name": "invoices", "description": "bills", "role": "USER"}),
    ({"description": ""}, {"description": "", "role": "USER"}),
    ({"role": None, "scopes": ["audit:read"]}, {"scopes": ["audit:read"]}),
    ({"rate_limit": 5}, {"rate_limit": 5, "name": "billing"}),
    ({}, {"name": "billing", "description": "bills", "role": "USER", "rate_limit": 60}),
]


async def test_a_patch_changes_what_it_names(admin: AdminClient) -> None:
    for number, (patch, shown) in enumerate(PATCHES):
        name = shown.get("name") or "billing"
        described = {"description": "bills", "role": "USER", "rate_limit": 60}
        account = await admin.create_account(f"account {number}", **described)
        expected = {
            **shown,
            **({"name": f"account {number}"} if name == "billing" and "name" in shown else {}),
        }

        answer = await send(admin, "PATCH", account, json=patch)

        changed = answer.json()
        assert answer.status == 200
        assert {field: changed[field] for field in expected} == expected
        assert (await send(admin, "GET", account)).json() == changed


async def test_null_takes_the_rate_limit_away(admin: AdminClient) -> None:
    account = await admin.create_account(rate_limit=60)

    changed = (await send(admin, "PATCH", account, json={"rate_limit": None})).json()

    assert "rate_limit" not in changed


NO_ACCOUNTS: Final[list[tuple[str, dict[str, Any], str]]] = [
    ("PATCH", {"name": None}, "name"),
    ("PATCH", {"name": ""}, "name"),
    ("PATCH", {"role": None}, ""),
    ("PATCH", {"scopes": None}, "scopes"),
    ("PATCH", {"rate_limit": 0}, "rate_limit"),
    ("PATCH", {"status": "active"}, "status"),
    ("PATCH", {"is_system": True}, "is_system"),
    ("PUT", {"role": "USER"}, "name"),
    ("PUT", {"name": "x"}, ""),
    ("PUT", {"name": "x", "role": "SUPERUSER"}, "role"),
]


async def test_what_makes_no_account_is_refused(admin: AdminClient) -> None:
    account = await admin.create_account()
    for method, body, path in NO_ACCOUNTS:
        answer = await send(admin, method, account, json=body)

        assert (answer.status, answer.problem) == (400, "invalid-request"), body
        assert path in [error["path"] for error in answer.json()["errors"]], body
    assert (await send(admin, "GET", account)).json()["updated_at"] == account["updated_at"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_name_that_is_taken_cannot_be_taken_over(admin: AdminClient, method: str) -> None:
    account = await admin.create_account("billing")
    await admin.create_account("invoices")

    answer = await send(admin, method, account, json=DESCRIBED)

    assert (answer.status, answer.problem) == (409, "already-exists")


async def test_the_limit_of_an_account_is_in_its_tokens(admin: AdminClient) -> None:
    limited = await admin.create_account("limited", rate_limit=30)
    default = await admin.create_account("default")

    assert claims_of(await admin.token(credentials_of(limited)))["rate_limit"] == 30
    assert "rate_limit" not in claims_of(await admin.token(credentials_of(default)))


async def test_a_suspended_account_gets_no_token_until_it_is_activated(admin: AdminClient) -> None:
    account = await admin.create_account()
    token = await admin.token(credentials_of(account))

    suspended = await send(admin, "POST", account, "/suspend")

    assert (suspended.status, suspended.json()["status"]) == (200, "suspended")
    refused = await admin.ask_token(credentials_of(account))
    assert (refused.status, refused.json()["error"]) == (401, "invalid_client")
    assert (await admin.request("GET", FILES, token=token)).status == 401

    activated = await send(admin, "POST", account, "/activate")

    assert activated.json()["status"] == "active"
    new = await admin.token(credentials_of(account))
    assert (await admin.request("GET", FILES, token=new)).status == 200
    assert (await admin.request("GET", FILES, token=token)).status == 401


async def test_suspending_and_activating_again_change_nothing(admin: AdminClient) -> None:
    account = await admin.create_account()
    token = await admin.token(credentials_of(account))

    assert (await send(admin, "POST", account, "/activate")).json()["status"] == "active"
    assert (await admin.request("GET", FILES, token=token)).status == 200
    for _ in range(2):
        assert (await send(admin, "POST", account, "/suspend")).json()["status"] == "suspended"


async def test_a_new_name_or_right_costs_no_token(admin: AdminClient) -> None:
    account = await admin.create_account(role="READONLY")
    token = await admin.token(credentials_of(account))

    await send(admin, "PATCH", account, json={"name": "invoices", "role": "USER"})

    assert (await admin.request("GET", FILES, token=token)).status == 200


async def test_what_one_takes_away_is_not_given_back_by_another_who_changes_a_word(
    admin: AdminClient,
) -> None:
    for number in range(20):
        account = await admin.create_account(f"account-{number}", role="OPERATOR")

        answers = await asyncio.gather(
            *(send(admin, "PATCH", account, json={"description": f"word {word}"}) for word in range(3)),
            send(admin, "PATCH", account, json={"role": "READONLY"}),
            *(send(admin, "PATCH", account, json={"description": f"word {word}"}) for word in range(3, 6)),
        )

        assert {answer.status for answer in answers} == {200}
        assert (await admin.get(f"{ACCOUNTS}/{account['id']}"))["role"] == "READONLY"


async def test_what_is_taken_away_while_the_database_is_busy_is_in_no_token_of_that_time(
    admin: AdminClient,
) -> None:
    account = await admin.create_account(role="USER")
    async with busy_database(admin.data) as database:
        change = asyncio.create_task(send(admin, "PATCH", account, json={"role": "READONLY"}))
        await asyncio.sleep(1.1)  # into the next second: that is how exactly tokens are dated
        asked = asyncio.create_task(admin.ask_token(credentials_of(account), scope="files:write"))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(database.commit)
        assert (await change).status == 200

    answer = await asked
    # Whoever came too late to be of that time is given none.
    assert (
        answer.status == 400
        or (await admin.request("GET", FILES, token=answer.json()["access_token"])).status == 401
    )


async def test_what_another_process_takes_away_while_a_token_is_made_is_not_in_it(admin: AdminClient) -> None:
    client = await Client.new(admin)  # its assertion is written down between reading and signing
    async with busy_database(admin.data) as database:
        asked = asyncio.create_task(client.ask(client.assertion(), scope="files:read"))
        await asyncio.sleep(0.1)
        now = datetime.now(UTC)
        row = RevocationRow(id="other", **whole_client(client.client_id, at=now).model_dump()).to_row()
        columns = ", ".join(row)
        statement = f"INSERT INTO revocations (sequence, {columns}) VALUES (1, :{', :'.join(row)})"
        await asyncio.to_thread(database.execute, statement, row)
        await asyncio.sleep(1.1)
        await asyncio.to_thread(database.commit)
    token = (await asked).json()["access_token"]

    async def is_refused() -> bool:
        return (await admin.request("GET", FILES, token=token)).status == 401

    await eventually(is_refused, patience=3)


CHANGES: Final[list[tuple[str, str, dict[str, Any] | None]]] = [
    ("PUT", "", DESCRIBED),
    ("PATCH", "", {"description": "mine"}),
    ("POST", "/suspend", None),
    ("POST", "/activate", None),
]


async def test_system_accounts_stay_as_they_are(admin: AdminClient) -> None:
    account = await system_account(admin)
    for method, suffix, body in [*CHANGES, ("DELETE", "", None)]:
        answer = await send(admin, method, account, suffix, json=body)

        assert (answer.status, answer.problem) == (403, "forbidden"), (method, suffix)
        assert "ArtStore's own" in answer.json()["detail"]
    assert (await system_account(admin))["updated_at"] == account["updated_at"]


async def test_the_tokens_of_a_system_account_can_be_revoked_for_it_gets_others(admin: AdminClient) -> None:
    token = await admin.token(admin.credentials("query"))
    [account] = (await admin.get(ACCOUNTS, search="sa_dev_query"))["items"]

    assert (await send(admin, "POST", account, "/revoke-tokens")).status == 200

    url = "/api/v1/storage-elements"
    assert (await admin.request("GET", url, token=token)).status == 401
    new = await admin.token(admin.credentials("query"))
    assert (await admin.request("GET", url, token=new)).status == 200


async def test_nobody_changes_an_account_that_may_do_more(admin: AdminClient) -> None:
    mighty = await admin.create_account("mighty", role="OPERATOR")
    manager = await admin.create_account("manager", role="USER", scopes=["accounts:write"])
    token = await admin.token(credentials_of(manager))

    for method, suffix, body in [*CHANGES, ("POST", "/revoke-tokens", None)]:
        answer = await send(admin, method, mighty, suffix, json=body, token=token)
        assert (answer.status, answer.problem) == (403, "forbidden"), (method, suffix)
    assert (await admin.get(f"{ACCOUNTS}/{mighty['id']}"))["updated_at"] == mighty["updated_at"]


async def test_nobody_raises_an_account_above_themselves(admin: AdminClient) -> None:
    small = await admin.create_account("small", role="READONLY")
    manager = await admin.create_account("manager", role="USER", scopes=["accounts:write"])
    token = await admin.token(credentials_of(manager))

    for body in ({"role": "ADMIN"}, {"scopes": ["storage:read"]}):
        assert (await send(admin, "PATCH", small, json=body, token=token)).status == 403
    assert (await send(admin, "PATCH", small, json={"role": "USER"}, token=token)).status == 200


async def test_accounts_are_found_by_role_status_and_text(admin: AdminClient) -> None:
    await admin.create_account("Бухгалтерия", role="USER", description="Invoices")
    expired = await admin.create_account("old", role="USER")
    suspended = await admin.create_account("resting", role="OPERATOR")
    await send(admin, "POST", suspended, "/suspend")
    await sql(admin, f"UPDATE service_accounts SET secret_expires_at = 1 WHERE id = '{expired['id']}'")

    assert await names(admin, role="USER") == ["old", "Бухгалтерия"]
    assert await names(admin, role="USER", status="active") == ["Бухгалтерия"]
    assert await names(admin, status="expired") == ["old"]
    assert await names(admin, status="suspended") == ["resting"]
    assert await names(admin, search="БУХГАЛ") == ["Бухгалтерия"]
    assert await names(admin, search="invoice") == ["Бухгалтерия"]
    assert await names(admin, search=suspended["client_id"]) == ["resting"]
    assert await names(admin, search="%") == []
    assert (await admin.get(ACCOUNTS, search="o", role="USER", limit=1))["total"] == 2
    assert (await admin.request("GET", f"{ACCOUNTS}?role=nobody")).status == 400


async def test_a_deleted_account_is_listed_only_when_it_is_asked_for(admin: AdminClient) -> None:
    account = await admin.create_account()
    await send(admin, "DELETE", account)

    assert "billing" not in await names(admin)
    assert await names(admin, status="deleted") == ["billing"]


async def test_secrets_that_expire_soon_are_told_the_soonest_first(admin: AdminClient) -> None:
    for name, days in (("month", 30), ("week", 7), ("tomorrow", 1), ("never", 0)):
        await admin.create_account(name, expires_in_days=days)

    soon = await admin.get(f"{ACCOUNTS}/expiring")
    later = await admin.get(f"{ACCOUNTS}/expiring", within_days=31)
    second = await admin.get(f"{ACCOUNTS}/expiring", within_days=31, limit=1, offset=1)

    assert [account["name"] for account in soon["items"]] == ["tomorrow", "week"]
    assert [account["days_until_expiry"] for account in soon["items"]] == [0, 6]
    assert [account["name"] for account in later["items"]] == ["tomorrow", "week", "month"]
    assert (second["items"][0]["name"], second["total"], second["has_more"]) == ("week", 3, True)


async def test_a_secret_that_expires_soon_is_warned_of_once_and_measured(start: StartAdmin) -> None:
    with capture_logs() as logs:
        async with start() as admin:
            account = await admin.create_account(expires_in_days=7)

            async def is_measured() -> bool:
                return await admin.metric("artstore_service_accounts_expiring") == 1

            await eventually(is_measured)
            await sql(admin, "UPDATE service_accounts SET secret_expires_at = NULL WHERE name = 'billing'")

            async def is_settled() -> bool:
                return await admin.metric("artstore_service_accounts_expiring") == 0

            await eventually(is_settled)

    warnings = [log for log in logs if log["event"] == "secret_expires_soon"]
    assert [warning["client_id"] for warning in warnings] == [account["client_id"]]


async def test_the_use_of_an_account_is_counted_by_day(start: StartAdmin) -> None:
    async with start() as admin:
        account = await admin.create_account()
        unused = await admin.create_account("unused")
        for _ in range(3):
            await admin.token(credentials_of(account))
        await admin.ask_token(ClientCredentials(account["client_id"], "ars_wrong"))
        await admin.ask_token(credentials_of(account), scope="audit:read")

        async def is_counted() -> bool:
            return bool((await admin.get(f"{ACCOUNTS}/{account['id']}/usage"))["tokens_issued"] == 3)

        await eventually(is_counted)
        await admin.token(credentials_of(account))
    async with start() as admin:
        usage = await admin.get(f"{ACCOUNTS}/{account['id']}/usage")
        none = await admin.get(f"{ACCOUNTS}/{unused['id']}/usage")

    assert (usage["tokens_issued"], usage["requests_refused"]) == (4, 1)
    assert [(day["tokens_issued"], day["requests_refused"]) for day in usage["days"]] == [(4, 1)]
    assert usage["last_used_at"][:10] == usage["days"][0]["day"]
    assert (none["tokens_issued"], none["days"]) == (0, [])


async def test_the_hashes_of_five_former_secrets_are_kept(admin: AdminClient) -> None:
    account = await admin.create_account()
    for _ in range(7):
        assert (await send(admin, "POST", account, "/rotate-secret", json={})).status == 200

    [(current, previous, history)] = await sql(
        admin,
        "SELECT secret_hash, previous_secret_hash, secret_history FROM service_accounts"
        " WHERE name = 'billing'",
    )

    former = history.split()
    assert len(set(former)) == 5
    assert former[0] == previous
    assert current not in former


async def test_of_several_rotations_at_once_of_a_system_account_the_kept_secret_is_good(
    admin: AdminClient,
) -> None:
    [account] = (await admin.get(ACCOUNTS, search="sa_dev_query"))["items"]
    for _ in range(10):
        answers = await asyncio.gather(
            *(send(admin, "POST", account, "/rotate-secret", json={}) for _ in range(4))
        )

        assert {answer.status for answer in answers} == {200}
        assert (await admin.ask_token(admin.credentials("query"))).status == 200


async def test_a_former_secret_of_a_system_account_is_adopted_with_a_warning(start: StartAdmin) -> None:
    async with start() as admin:
        former = (admin.secrets / "client-query").read_text()
        [account] = (await admin.get(ACCOUNTS, search="sa_dev_query"))["items"]
        await send(admin, "POST", account, "/rotate-secret", json={})
        (admin.secrets / "client-query").write_text(former)

    with capture_logs() as logs:
        async with start() as admin:
            assert (await admin.ask_token(ClientCredentials.parse(former))).status == 200

    adopted = [log for log in logs if log["event"] == "system_secret_adopted"]
    assert [log["log_level"] for log in adopted] == ["warning"]


async def test_without_a_certificate_there_are_no_bound_tokens(admin: AdminClient) -> None:
    account = await admin.create_account(has_bound_tokens=True)

    refused = await admin.ask_token(credentials_of(account))
    await send(admin, "PATCH", account, json={"has_bound_tokens": False})

    assert (refused.status, refused.json()["error"]) == (400, "invalid_request")
    assert "mutual TLS" in refused.json()["error_description"]
    assert (await admin.ask_token(credentials_of(account))).status == 200
