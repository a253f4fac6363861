"""Service accounts over HTTP: made, listed, rotated, deleted, and never more than their maker."""

import uuid
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from artstore.core.client.tokens import ClientCredentials
from artstore.core.scopes import ROLE_SCOPES
from tests.services.admin.conftest import StartAdmin
from tests.services.admin.harness import ACCOUNTS, AdminClient, eventually, sql

SYSTEM_ACCOUNTS: Final = 5


def credentials_of(account: dict[str, Any]) -> ClientCredentials:
    return ClientCredentials(account["client_id"], account["client_secret"])


async def rotate(admin: AdminClient, account: dict[str, Any], **fields: object) -> dict[str, Any]:
    answer = await admin.request("POST", f"{ACCOUNTS}/{account['id']}/rotate-secret", json=fields)
    assert answer.status == 200, answer
    rotated: dict[str, Any] = answer.json()
    return rotated


async def named(admin: AdminClient, name: str) -> dict[str, Any]:
    found = (await admin.get(ACCOUNTS, limit=1000))["items"]
    account: dict[str, Any] = next(account for account in found if account["name"] == name)
    return account


async def test_a_new_account_is_told_its_secret_once(admin: AdminClient) -> None:
    answer = await admin.request(
        "POST", ACCOUNTS, json={"name": "Billing System", "description": "invoices", "role": "USER"}
    )

    account = answer.json()
    assert answer.status == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert account["client_id"].startswith("sa_dev_billing-system_")
    assert account["client_secret"].startswith("ars_")
    assert len(account["client_secret"]) == len("ars_") + 43
    assert set(account["scopes"]) == ROLE_SCOPES["USER"]
    assert (await admin.ask_token(credentials_of(account))).status == 200
    shown = await admin.get(f"{ACCOUNTS}/{account['id']}")
    assert shown == {
        "id": account["id"],
        "client_id": account["client_id"],
        "name": "Billing System",
        "description": "invoices",
        "role": "USER",
        "scopes": ["files:read", "files:write"],
        "status": "active",
        "is_system": False,
        "has_bound_tokens": False,
        "created_at": account["created_at"],
        "updated_at": account["created_at"],
        "secret_created_at": account["created_at"],
        "secret_expires_at": account["secret_expires_at"],
        "days_until_expiry": 89,
        "last_used_at": shown["last_used_at"],
    }


async def test_no_secret_nor_its_hash_is_kept_where_it_can_be_read(admin: AdminClient) -> None:
    account = await admin.create_account()

    rows = await sql(admin, "SELECT * FROM service_accounts")

    assert account["client_secret"] not in str(rows)
    assert not [key for key in await admin.get(f"{ACCOUNTS}/{account['id']}") if "hash" in key]


@pytest.mark.parametrize(
    ("fields", "prefix", "has_expiry"),
    [
        ({"environment": "prod"}, "sa_prod_billing_", True),
        ({"expires_in_days": 0}, "sa_dev_billing_", False),
        ({"name": "Бухгалтерия"}, "sa_dev_account_", True),
        ({"name": "x" * 100}, f"sa_dev_{'x' * 40}_", True),
        ({"role": None, "scopes": ["files:read", "files:read"]}, "sa_dev_billing_", True),
        ({"role": "READONLY", "scopes": ["storage:read"]}, "sa_dev_billing_", True),
    ],
)
async def test_what_is_asked_for_is_made(
    admin: AdminClient, fields: dict[str, Any], prefix: str, has_expiry: bool
) -> None:
    account = await admin.create_account(**fields)

    assert account["client_id"].startswith(prefix)
    assert ("secret_expires_at" in account) == has_expiry
    assert (await admin.ask_token(credentials_of(account))).json()["scope"] == " ".join(account["scopes"])


async def test_the_environment_of_the_cluster_is_the_default(start: StartAdmin) -> None:
    async with start(environment="production") as admin:
        account = await admin.create_account()

    assert account["client_id"].startswith("sa_prod_")


WRONG: Final[list[tuple[dict[str, Any], str]]] = [
    ({"name": ""}, "name"),
    ({"name": "   "}, "name"),
    ({"name": "x" * 101}, "name"),
    ({"name": "a\0b"}, "name"),
    ({"name": "a\nb"}, "name"),
    ({"name": "a\u202eb"}, "name"),
    ({"name": 5}, "name"),
    ({"description": "x" * 1001}, "description"),
    ({"role": "SUPERUSER"}, "role"),
    ({"role": "admin"}, "role"),
    ({"scopes": ["files:everything"]}, "scopes.0"),
    ({"scopes": "files:read"}, "scopes"),
    ({"environment": "staging"}, "environment"),
    ({"expires_in_days": -1}, "expires_in_days"),
    ({"expires_in_days": 3651}, "expires_in_days"),
    ({"expires_in_days": "90"}, "expires_in_days"),
    ({"is_system": True}, "is_system"),
    ({"client_id": "mine"}, "client_id"),
    ({"role": None}, ""),
]


async def test_a_field_that_is_wrong_is_named(admin: AdminClient) -> None:
    told: list[object] = []
    for fields, path in WRONG:
        answer = await admin.request("POST", ACCOUNTS, json={"name": "billing", "role": "USER", **fields})
        if answer.status != 400 or path not in [error["path"] for error in answer.json()["errors"]]:
            told.append((fields, answer))

    assert told == []


async def test_a_name_is_taken_once(admin: AdminClient) -> None:
    await admin.create_account("billing")

    answer = await admin.request("POST", ACCOUNTS, json={"name": " billing ", "role": "USER"})

    assert (answer.status, answer.problem) == (409, "already-exists")
    assert "billing" in answer.json()["detail"]


async def test_the_name_of_a_system_account_is_taken(admin: AdminClient) -> None:
    answer = await admin.request("POST", ACCOUNTS, json={"name": "ingester", "role": "USER"})

    assert answer.status == 409


@pytest.mark.parametrize(
    "wanted",
    [
        {"role": "ADMIN"},
        {"scopes": ["storage:read"]},
        {"role": "READONLY", "scopes": ["uploads:delegate"]},
        {"scopes": ["index:write"]},
    ],
)
async def test_nobody_gives_away_what_they_do_not_have(admin: AdminClient, wanted: dict[str, Any]) -> None:
    manager = await admin.create_account("manager", role="READONLY", scopes=["accounts:write"])
    token = await admin.token(credentials_of(manager))

    answer = await admin.request("POST", ACCOUNTS, token=token, json={"name": "other", **wanted})
    allowed = await admin.request("POST", ACCOUNTS, token=token, json={"name": "less", "role": "READONLY"})

    assert (answer.status, answer.problem) == (403, "forbidden")
    assert allowed.status == 201


async def test_a_narrowed_token_cannot_give_what_its_account_has(admin: AdminClient) -> None:
    token = await admin.token(admin.credentials(), scope="accounts:write")

    answer = await admin.request("POST", ACCOUNTS, token=token, json={"name": "x", "role": "READONLY"})

    assert answer.status == 403


async def test_nobody_touches_a_mightier_account(admin: AdminClient) -> None:
    mighty = await admin.create_account("mighty", role="ADMIN")
    manager = await admin.create_account("manager", role="READONLY", scopes=["accounts:write"])
    token = await admin.token(credentials_of(manager))

    for account in (mighty, await named(admin, "administrator"), await named(admin, "ingester")):
        path = f"{ACCOUNTS}/{account['id']}"
        assert (await admin.request("POST", f"{path}/rotate-secret", token=token, json={})).status == 403
        assert (await admin.request("DELETE", path, token=token)).status == 403

    for credentials in (
        credentials_of(mighty),
        admin.credentials("administrator"),
        admin.credentials("ingester"),
    ):
        assert (await admin.ask_token(credentials)).status == 200


async def test_accounts_are_listed_by_name_in_slices(admin: AdminClient) -> None:
    for name in ("b", "c", "a"):
        await admin.create_account(name)

    whole = await admin.get(ACCOUNTS)
    slices = [await admin.get(ACCOUNTS, limit=3, offset=offset) for offset in (0, 3, 6, 9)]

    names = [account["name"] for account in whole["items"]]
    assert names == sorted(names)
    assert whole["total"] == len(names) == SYSTEM_ACCOUNTS + 3
    assert [account["name"] for each in slices for account in each["items"]] == names
    assert [each["has_more"] for each in slices] == [True, True, False, False]
    assert (slices[1]["limit"], slices[1]["offset"]) == (3, 3)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "offset=-1", "limit=x", "nonsense=1", "limit=1&limit=2"]
)
async def test_a_slice_that_makes_no_sense_is_refused(admin: AdminClient, query: str) -> None:
    answer = await admin.request("GET", f"{ACCOUNTS}?{query}")

    assert (answer.status, answer.problem) == (400, "invalid-request")


@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("DELETE", ""), ("POST", "/rotate-secret")])
async def test_an_account_that_is_not_there_is_not_found(
    admin: AdminClient, method: str, suffix: str
) -> None:
    missing = await admin.request(method, f"{ACCOUNTS}/{uuid.uuid4()}{suffix}", json={})
    malformed = await admin.request(method, f"{ACCOUNTS}/..%00{suffix}", json={})

    assert (missing.status, missing.problem) == (404, "not-found")
    assert malformed.status == 400


async def test_a_deleted_account_is_gone_and_its_name_is_free(admin: AdminClient) -> None:
    account = await admin.create_account("billing")

    assert (await admin.request("DELETE", f"{ACCOUNTS}/{account['id']}")).status == 204

    assert (await admin.request("GET", f"{ACCOUNTS}/{account['id']}")).status == 404
    assert (await admin.request("DELETE", f"{ACCOUNTS}/{account['id']}")).status == 404
    assert (await admin.ask_token(credentials_of(account))).status == 401
    again = await admin.create_account("billing")
    assert again["client_id"] != account["client_id"]
    assert await sql(admin, "SELECT COUNT(*) FROM service_accounts WHERE name = 'billing'") == [(2,)]


async def test_system_accounts_cannot_be_deleted(admin: AdminClient) -> None:
    for account in (await admin.get(ACCOUNTS))["items"]:
        answer = await admin.request("DELETE", f"{ACCOUNTS}/{account['id']}")
        assert (answer.status, answer.problem) == (403, "forbidden")
    assert (await admin.get(ACCOUNTS))["total"] == SYSTEM_ACCOUNTS


async def test_a_new_secret_replaces_the_old_one_at_once(admin: AdminClient) -> None:
    account = await admin.create_account()

    rotated = await rotate(admin, account)

    assert rotated["client_id"] == account["client_id"]
    assert (await admin.ask_token(credentials_of(rotated))).status == 200
    assert (await admin.ask_token(credentials_of(account))).status == 401


async def test_both_secrets_are_good_while_the_grace_lasts(admin: AdminClient) -> None:
    account = await admin.create_account()

    rotated = await rotate(admin, account, grace_seconds=3600)

    assert (await admin.ask_token(credentials_of(rotated))).status == 200
    assert (await admin.ask_token(credentials_of(account))).status == 200
    await sql(admin, "UPDATE service_accounts SET previous_secret_until = 1")
    assert (await admin.ask_token(credentials_of(account))).status == 401
    assert (await admin.ask_token(credentials_of(rotated))).status == 200


async def test_a_second_rotation_ends_the_grace_of_the_first(admin: AdminClient) -> None:
    first = await admin.create_account()
    second = await rotate(admin, first, grace_seconds=3600)

    third = await rotate(admin, first, grace_seconds=3600)

    statuses = [(await admin.ask_token(credentials_of(each))).status for each in (first, second, third)]
    assert statuses == [401, 200, 200]


async def test_an_expired_secret_does_not_come_to_life_by_rotation(admin: AdminClient) -> None:
    account = await admin.create_account()
    await sql(admin, "UPDATE service_accounts SET secret_expires_at = 1 WHERE name = 'billing'")
    assert (await named(admin, "billing"))["status"] == "expired"

    rotated = await rotate(admin, account, grace_seconds=3600, expires_in_days=1)

    assert (await admin.ask_token(credentials_of(account))).status == 401
    assert (await admin.ask_token(credentials_of(rotated))).status == 200
    assert (await named(admin, "billing"))["status"] == "active"


async def test_a_new_secret_lasts_as_long_as_the_old_one_did(admin: AdminClient) -> None:
    forever = await admin.create_account("forever", expires_in_days=0)
    week = await admin.create_account("week", expires_in_days=7)

    assert "secret_expires_at" not in await rotate(admin, forever)
    assert (await rotate(admin, week))["secret_expires_at"] > week["secret_expires_at"]
    assert "secret_expires_at" not in await rotate(admin, week, expires_in_days=0)


async def test_the_secret_of_a_system_account_is_put_where_its_role_looks(admin: AdminClient) -> None:
    await admin.administrator_token()
    for name in ("ingester", "administrator"):
        old = admin.credentials(name)

        rotated = await rotate(admin, await named(admin, name))

        new = admin.credentials(name)
        assert "client_secret" not in rotated
        assert new.client_id == old.client_id
        assert (await admin.ask_token(new)).status == 200
        assert (await admin.ask_token(old)).status == 401
        assert (admin.secrets / f"client-{name}").stat().st_mode & 0o777 == 0o600


async def test_a_system_secret_that_cannot_be_written_is_left_alone(
    start: StartAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as admin:
        credentials = admin.credentials("query")
    text = f"{credentials.client_id}:{credentials.client_secret}"
    monkeypatch.setenv("ARTSTORE_SECRET_CLIENT_QUERY", text)

    async with start() as admin:
        account = await named(admin, "query")
        answer = await admin.request("POST", f"{ACCOUNTS}/{account['id']}/rotate-secret", json={})

        assert (answer.status, answer.problem) == (501, "unsupported")
        assert "ARTSTORE_SECRET_CLIENT_QUERY" in answer.json()["detail"]
        assert (await admin.ask_token(credentials)).status == 200


async def test_an_interrupted_rotation_of_a_system_secret_is_finished_by_the_next_start(
    start: StartAdmin,
) -> None:
    async with start() as admin:
        before = await sql(admin, "SELECT secret_hash FROM service_accounts WHERE name = 'query'")
        await rotate(admin, await named(admin, "query"))
        # As if the process had died between the two writes.
        await sql(admin, f"UPDATE service_accounts SET secret_hash = '{before[0][0]}' WHERE name = 'query'")
        assert (await admin.ask_token(admin.credentials("query"))).status == 401

    with capture_logs() as logs:
        async with start() as admin:
            assert (await admin.ask_token(admin.credentials("query"))).status == 200
    assert "system_secret_adopted" in [log["event"] for log in logs]


@pytest.mark.parametrize("fields", [{"grace_seconds": -1}, {"grace_seconds": 10**9}, {"secret": "mine"}])
async def test_a_rotation_that_makes_no_sense_is_refused(admin: AdminClient, fields: dict[str, Any]) -> None:
    account = await admin.create_account()

    answer = await admin.request("POST", f"{ACCOUNTS}/{account['id']}/rotate-secret", json=fields)

    assert answer.status == 400
    assert (await admin.ask_token(credentials_of(account))).status == 200


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", ACCOUNTS, "accounts:read"),
        ("POST", ACCOUNTS, "accounts:write"),
        ("GET", f"{ACCOUNTS}/{uuid.UUID(int=1)}", "accounts:read"),
        ("DELETE", f"{ACCOUNTS}/{uuid.UUID(int=1)}", "accounts:write"),
        ("POST", f"{ACCOUNTS}/{uuid.UUID(int=1)}/rotate-secret", "accounts:write"),
    ],
)
async def test_each_operation_needs_its_scope(admin: AdminClient, method: str, path: str, scope: str) -> None:
    others = " ".join(sorted(ROLE_SCOPES["ADMIN"] - {scope}))
    token = await admin.token(admin.credentials(), scope=others)

    answer = await admin.request(method, path, token=token)

    assert answer.status == 403
    assert scope in answer.json()["detail"]
    assert (await admin.send(method, path)).status == 401


async def test_the_accounts_are_counted(admin: AdminClient) -> None:
    await admin.create_account()

    async def is_counted() -> bool:
        return await admin.metric("artstore_service_accounts") == SYSTEM_ACCOUNTS + 1

    await eventually(is_counted)
