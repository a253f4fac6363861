"""What every start makes sure of: accounts and secrets that survive the loss of the database."""

import asyncio
import json
import logging
import stat
from pathlib import Path
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from artstore.core.client.tokens import ClientCredentials
from artstore.core.scopes import ROLE_SCOPES, SERVICE_SCOPES
from artstore.core.spec import ConfigurationError
from artstore.core.stores.accounts import AccountsStore, ServiceAccount
from tests.services.admin.conftest import StartAdmin
from tests.services.admin.harness import (
    ACCOUNTS,
    TOKEN,
    AdminClient,
    Port,
    admin_settings,
    lose_database,
    running_admin,
    sql,
)

SYSTEM: Final = {"administrator", "admin", "element", "ingester", "query"}
SECRETS: Final = {
    "admin-password",
    "audit-key",
    "audit-signing-key",
    "master-key",
    "secret-pepper",
    *(f"client-{name}" for name in SYSTEM),
}


async def accounts(admin: AdminClient) -> dict[str, dict[str, Any]]:
    return {account["name"]: account for account in (await admin.get(ACCOUNTS))["items"]}


async def test_the_first_start_makes_secrets_that_nobody_else_can_read(
    start_first: StartAdmin, tmp_path: Path
) -> None:
    async with start_first():
        pass

    files = await asyncio.to_thread(
        lambda: {path.name: path.stat() for path in (tmp_path / "secrets").iterdir()}
    )
    assert set(files) == SECRETS
    assert {stat.S_IMODE(status.st_mode) for status in files.values()} == {0o600}
    assert stat.S_IMODE((await asyncio.to_thread((tmp_path / "secrets").stat)).st_mode) == 0o700


async def test_the_database_is_not_readable_by_others(start_first: StartAdmin, tmp_path: Path) -> None:
    async with start_first():
        modes = await asyncio.to_thread(
            lambda: {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("*.db*")}
        )

    assert set(modes.values()) == {0o600}


async def test_every_system_account_has_what_it_needs_and_nothing_more(admin: AdminClient) -> None:
    found = await accounts(admin)

    assert {name for name, account in found.items() if account["is_system"]} == SYSTEM
    assert set(found["administrator"]["scopes"]) == ROLE_SCOPES["ADMIN"] | {"people:read", "people:write"}
    for name, scopes in SERVICE_SCOPES.items():
        assert set(found[name]["scopes"]) == scopes
        assert found[name]["client_id"].startswith(f"sa_dev_{name}_")
        assert "secret_expires_at" not in found[name]
        token = await admin.token(admin.credentials(name))
        assert token


async def test_a_restart_changes_no_account_and_no_secret(start: StartAdmin) -> None:
    async with start() as admin:
        before = await accounts(admin)
        secrets = {path.name: path.read_text() for path in admin.secrets.iterdir()}

    async with start() as admin:
        after = await accounts(admin)
        assert {path.name: path.read_text() for path in admin.secrets.iterdir()} == secrets

    for account in (*before.values(), *after.values()):
        account.pop("last_used_at", None)
    assert after == before


async def test_after_the_loss_of_the_database_the_accounts_are_those_of_the_files(
    start: StartAdmin, tmp_path: Path
) -> None:
    async with start() as admin:
        before = {name: account["client_id"] for name, account in (await accounts(admin)).items()}
    lose_database(tmp_path)

    async with start() as admin:
        assert {name: account["client_id"] for name, account in (await accounts(admin)).items()} == before
        for name in SYSTEM:
            await admin.token(admin.credentials(name))


async def test_a_secret_that_was_removed_is_made_anew_and_the_old_one_is_void(start: StartAdmin) -> None:
    async with start() as admin:
        old = admin.credentials("ingester")
        (admin.secrets / "client-ingester").unlink()

    async with start() as admin:
        new = admin.credentials("ingester")
        assert new.client_secret != old.client_secret
        assert (await admin.ask_token(new)).status == 200
        assert (await admin.ask_token(old)).status == 401
        assert set(await accounts(admin)) == SYSTEM


async def test_a_secret_that_was_changed_by_hand_holds(start: StartAdmin) -> None:
    async with start() as admin:
        old = admin.credentials("query")
        new = ClientCredentials(old.client_id, "ars_" + "n" * 43)
        (admin.secrets / "client-query").write_text(f"{new.client_id}:{new.client_secret}\n")

    async with start() as admin:
        assert (await admin.ask_token(new)).status == 200
        assert (await admin.ask_token(old)).status == 401


async def test_a_system_account_that_was_altered_is_repaired(start: StartAdmin) -> None:
    async with start() as admin:
        before = (await accounts(admin))["ingester"]["scopes"]
        await sql(
            admin,
            "UPDATE service_accounts SET scopes = 'files:delete', role = 'ADMIN', status = 'suspended'"
            " WHERE name = 'ingester'",
        )

    async with start() as admin:
        assert (await accounts(admin))["ingester"]["scopes"] == before
        assert (await admin.ask_token(admin.credentials("ingester"))).status == 200


async def test_two_admins_that_start_at_once_agree_on_every_account(
    start_first: StartAdmin, tmp_path: Path
) -> None:
    settings = [admin_settings(tmp_path, Port.free()) for _ in range(2)]

    async def started(number: int) -> list[dict[str, Any]]:
        async with running_admin(settings[number]) as admin:
            for name in SYSTEM:
                await admin.token(admin.credentials(name))
            return list((await accounts(admin)).values())

    one, other = await asyncio.gather(started(0), started(1))

    assert [account["client_id"] for account in one] == [account["client_id"] for account in other]
    assert len(one) == len(SYSTEM)


async def test_an_account_that_another_process_makes_at_the_same_moment_is_kept(
    start: StartAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as admin:
        before = await accounts(admin)
    find, seen = AccountsStore.find_by_client_id, set[str]()

    async def find_only_later(self: AccountsStore, client_id: str) -> ServiceAccount | None:
        if client_id not in seen:
            seen.add(client_id)
            return None
        return await find(self, client_id)

    monkeypatch.setattr(AccountsStore, "find_by_client_id", find_only_later)

    async with start() as admin:
        after = await accounts(admin)

    assert {name: account["id"] for name, account in after.items()} == {
        name: account["id"] for name, account in before.items()
    }


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("client-query", "no colon", "'client-query' .* is not one line"),
        ("client-query", "", "'client-query' .* is not one line"),
        ("client-query", "sa_dev_query:short", "'client-query' .* has 5 bytes"),
        ("client-query", f"with spaces:{'s' * 43}", "'client-query' .* is not one line"),
        ("secret-pepper", "salt", "'secret-pepper' .* has 4 bytes"),
    ],
)
async def test_a_secret_that_cannot_be_used_is_told_in_one_line(
    start: StartAdmin, tmp_path: Path, name: str, content: str, told: str
) -> None:
    (tmp_path / "secrets" / name).write_text(content)

    with pytest.raises(ConfigurationError, match=told) as error:
        async with start():
            pass

    assert "\n" not in str(error.value)
    assert "short" not in str(error.value)


async def test_credentials_of_another_account_do_not_change_it(start: StartAdmin, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    (secrets / "client-query").write_text((secrets / "client-ingester").read_text())

    with pytest.raises(ConfigurationError, match="'client-query' holds the credentials of another"):
        async with start():
            pass


async def test_an_account_of_the_operator_is_never_taken_over(start: StartAdmin) -> None:
    async with start() as admin:
        account = await admin.create_account("billing")
        text = f"{account['client_id']}:{account['client_secret']}"
        (admin.secrets / "client-query").write_text(text)

    with pytest.raises(ConfigurationError, match="another service account"):
        async with start():
            pass


async def test_nothing_secret_is_ever_logged(
    start_first: StartAdmin, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with capture_logs() as logs:
        async with start_first() as admin:
            account = await admin.create_account("billing", role="READONLY")
            own = ClientCredentials(account["client_id"], account["client_secret"])
            token = await admin.token(own)
            rotated = await admin.request("POST", f"{ACCOUNTS}/{account['id']}/rotate-secret", json={})
            await admin.ask_token(own)
            await admin.ask_token(ClientCredentials(own.client_secret, own.client_secret))
            await admin.send("POST", TOKEN, headers={"Authorization": f"Basic {own.client_secret}"}, data="x")
            await admin.send("POST", TOKEN, json={"client_secret": own.client_secret, "client_id": 1})
            secrets = {path.read_text().strip() for path in admin.secrets.iterdir()}
            secrets |= {admin.credentials(name).client_secret for name in SYSTEM}
            secrets |= {own.client_secret, token, rotated.json()["client_secret"]}

    assert any(log["event"] == "request_served" for log in logs)
    told = json.dumps(logs, default=repr) + caplog.text + "".join(capsys.readouterr())
    assert not [secret for secret in secrets if secret in told]
