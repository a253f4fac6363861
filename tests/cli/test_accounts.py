"""`artstore service-account`: changed, suspended, watched; `create`, `rotate` and `delete` are elsewhere."""

import json
import time
from pathlib import Path
from typing import Any

from tests.cli.commands import failure
from tests.cluster import Cluster, request
from tests.services.admin.test_client_assertions import EC_KEY, public_jwk


def create(cluster: Cluster, name: str, *options: str) -> dict[str, Any]:
    made = cluster.command("service-account", "create", name, "--role", "USER", "--json", *options)
    account: dict[str, Any] = json.loads(made.stdout)
    return account


def run(cluster: Cluster, *arguments: str) -> str:
    return str(cluster.command("service-account", *arguments).stdout)


def token_status(cluster: Cluster, account: dict[str, Any]) -> int:
    body = json.dumps({name: account[name] for name in ("client_id", "client_secret")}).encode()
    url = cluster.url("admin", "/api/v1/auth/token")
    return request("POST", url, body=body, headers={"Content-Type": "application/json"}).status


def test_a_suspended_account_gets_no_token_until_it_is_activated(cluster: Cluster) -> None:
    account = create(cluster, "scanner")

    suspended = run(cluster, "suspend", "scanner")
    while_suspended = token_status(cluster, account)
    listed = json.loads(run(cluster, "list", "--status", "suspended", "--json"))
    activated = run(cluster, "activate", account["client_id"])
    revoked = run(cluster, "revoke-tokens", "scanner")

    assert suspended == f"suspended {account['client_id']}\n"
    assert while_suspended == 401
    assert [each["name"] for each in listed] == ["scanner"]
    assert activated == f"activated {account['client_id']}\n"
    assert revoked == f"revoked the tokens of {account['client_id']}\n"
    assert token_status(cluster, account) == 200


def test_an_account_is_changed_and_shown(cluster: Cluster, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [public_jwk(EC_KEY)]}))
    create(cluster, "mailer", "--description", "sends", "--rate-limit", "10")

    run(cluster, "update", "mailer", "--name", "Mailer 2", "--scope", "audit:read", "--rate-limit", "20")
    run(cluster, "update", "Mailer 2", "--jwks", str(keys))
    shown = json.loads(run(cluster, "show", "Mailer 2", "--json"))
    for_people = run(cluster, "show", "Mailer 2")
    refused = cluster.command("service-account", "update", "Mailer 2", "--rate-limit", "0", check=False)

    assert (shown["description"], shown["role"], shown["rate_limit"]) == ("sends", "USER", 20)
    assert shown["jwks"]["keys"] == [public_jwk(EC_KEY)]
    assert shown["scopes"] == ["audit:read", "files:read", "files:write"]
    assert "audit:read files:read files:write" in for_people
    assert json.loads(run(cluster, "list", "--search", "mailer 2", "--json")) == [shown]
    assert "rate_limit" in failure(refused, code=2)


def test_a_system_account_is_left_alone(cluster: Cluster) -> None:
    refused = cluster.command("service-account", "suspend", "ingester", check=False)

    assert "ArtStore's own" in failure(refused, code=1)


def test_secrets_that_expire_soon_are_listed(cluster: Cluster) -> None:
    create(cluster, "soon", "--expires-in-days", "3")

    within = run(cluster, "expiring", "--within-days", "7")
    not_yet = json.loads(run(cluster, "expiring", "--within-days", "1", "--json"))

    assert "soon" in within
    assert not_yet == []


def test_use_is_told_by_day(cluster: Cluster) -> None:
    account = create(cluster, "busy")
    assert token_status(cluster, account) == 200

    deadline = time.monotonic() + 20
    while json.loads(run(cluster, "usage", "busy", "--json"))["tokens_issued"] == 0:
        assert time.monotonic() < deadline
    table = run(cluster, "usage", "busy").splitlines()

    assert table[0].split() == ["day", "tokens", "refused"]
    assert table[1].split()[1:] == ["1", "0"]
