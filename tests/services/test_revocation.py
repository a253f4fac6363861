"""Revocation at all four roles: who is suspended, deleted or revoked is refused everywhere within moments."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest
from aiohttp import ClientSession, encode_basic_auth

from artstore.core import revocation
from artstore.core.config import AdminSettings, PluginSection, RoleName
from artstore.core.testing.issuer import TokenMint, issuer_server
from artstore.services.admin.revocations import LOOK_INTERVAL
from tests.services.admin.harness import ACCOUNTS, Port, eventually, sql_in
from tests.services.roles import Roles, RoleServer

PROMPTNESS: Final = 5.0
"""Seconds that are certainly no moments any more; the long poll of the roles takes longer."""

REQUESTS: Final = {
    "admin": ("GET", "/api/v1/files"),
    "element": ("GET", "/api/v1/files"),
    "ingester": ("POST", "/api/v1/files/upload"),  # of nothing: a client that is let in is told so
    "query": ("GET", "/api/v1/search?q=word"),
}
SCOPES: Final = ["files:read", "files:write", "storage:read"]


class Cluster:
    """All four roles, and an account that each of them lets in."""

    def __init__(self, roles: Roles, servers: list[RoleServer]) -> None:
        self.roles = roles
        self.servers: dict[RoleName, RoleServer] = {server.role: server for server in servers}

    @property
    def admin(self) -> RoleServer:
        return self.servers["admin"]

    async def manage(self, method: str, path: str, **arguments: Any) -> Any:
        """An operation on accounts, which must succeed."""
        answer = await self.roles.request(method, f"{self.admin.url}{ACCOUNTS}{path}", **arguments)
        assert answer.status in (200, 201, 204), answer
        return answer.json() if answer.body else None

    async def new_account(self, name: str = "billing") -> dict[str, Any]:
        account: dict[str, Any] = await self.manage("POST", "", json={"name": name, "scopes": SCOPES})
        return account

    async def token_of(self, account: dict[str, Any]) -> str:
        return await self.roles.issue_to(account["client_id"], account["client_secret"])

    async def statuses(self, token: str) -> dict[str, int]:
        """How each role answers."""
        found: dict[str, int] = {}
        for role, server in self.servers.items():
            method, path = REQUESTS[role]
            found[role] = (await self.roles.request(method, server.url + path, token=token)).status
        return found

    async def refuses(self, token: str) -> bool:
        return set((await self.statuses(token)).values()) == {401}

    async def admits(self, token: str) -> bool:
        return not {401, 403, 503} & set((await self.statuses(token)).values())

    async def is_level(self) -> bool:
        """Whether every role follows the list."""
        found = [await self.roles.readiness(each) for role, each in self.servers.items() if role != "admin"]
        return all(each["checks"]["revocations"]["status"] == "ok" for each in found)


@pytest.fixture
async def cluster(roles: Roles) -> Cluster:
    servers = [await roles.start("admin"), await roles.start_element()]
    servers += [await roles.start("ingester"), await roles.start("query")]
    cluster = Cluster(roles, servers)
    await eventually(cluster.is_level)
    return cluster


async def suspend(cluster: Cluster, account: dict[str, Any]) -> None:
    await cluster.manage("POST", f"/{account['id']}/suspend")


async def delete(cluster: Cluster, account: dict[str, Any]) -> None:
    await cluster.manage("DELETE", f"/{account['id']}")


async def revoke_tokens(cluster: Cluster, account: dict[str, Any]) -> None:
    await cluster.manage("POST", f"/{account['id']}/revoke-tokens")


async def take_a_scope(cluster: Cluster, account: dict[str, Any]) -> None:
    await cluster.manage("PATCH", f"/{account['id']}", json={"scopes": SCOPES[:1]})


async def test_every_role_refuses_the_tokens_at_once(cluster: Cluster) -> None:
    untouched = await cluster.token_of(await cluster.new_account("other"))
    for end in (suspend, delete, revoke_tokens, take_a_scope):
        account = await cluster.new_account(end.__name__)
        token = await cluster.token_of(account)
        assert await cluster.admits(token)

        await end(cluster, account)

        await eventually(refusal_of(cluster, token), patience=PROMPTNESS)
        assert await cluster.admits(untouched)


def refusal_of(cluster: Cluster, token: str) -> Callable[[], Awaitable[bool]]:
    return lambda: cluster.refuses(token)


async def revoke(cluster: Cluster, account: dict[str, Any], token: str) -> int:
    """As RFC 7009 wants it; the status."""
    basic = encode_basic_auth(account["client_id"], account["client_secret"])
    async with (
        ClientSession() as session,
        session.post(
            f"{cluster.admin.url}/api/v1/auth/revoke", data={"token": token}, headers={"Authorization": basic}
        ) as response,
    ):
        return response.status


async def test_a_role_that_is_told_of_the_issuer_alone_finds_admin_there(roles: Roles) -> None:
    admin = await roles.start("admin")
    told = roles.element_settings("se-far").model_copy(
        update={"issuer": admin.url, "admin": AdminSettings(), "base_port": Port.free().number}
    )
    far = await roles.start_element("se-far")
    await far.stop()
    await far.start(told)

    async def is_level() -> bool:
        return bool((await roles.readiness(far))["checks"]["revocations"]["status"] == "ok")

    await eventually(is_level, patience=PROMPTNESS)
    assert (await roles.request("GET", f"{far.url}/api/v1/files")).status == 200


async def test_a_single_token_is_revoked_everywhere_and_no_other(cluster: Cluster) -> None:
    account = await cluster.new_account()
    token, sibling = await cluster.token_of(account), await cluster.token_of(account)

    assert await revoke(cluster, account, token) == 200

    await eventually(refusal_of(cluster, token), patience=PROMPTNESS)
    assert await cluster.admits(sibling)


async def test_a_new_token_holds_at_once_after_the_old_ones_were_revoked(cluster: Cluster) -> None:
    account = await cluster.new_account()
    old = await cluster.token_of(account)

    await revoke_tokens(cluster, account)
    new = await cluster.token_of(account)

    await eventually(refusal_of(cluster, old), patience=PROMPTNESS)
    assert await cluster.admits(new)


async def test_after_a_suspension_only_new_tokens_are_let_in(cluster: Cluster) -> None:
    account = await cluster.new_account()
    old = await cluster.token_of(account)
    await suspend(cluster, account)
    await eventually(refusal_of(cluster, old), patience=PROMPTNESS)

    await cluster.manage("POST", f"/{account['id']}/activate")
    new = await cluster.token_of(account)

    await eventually(lambda: cluster.admits(new), patience=PROMPTNESS)
    assert await cluster.refuses(old)


async def test_the_last_known_list_holds_while_admin_is_away(cluster: Cluster) -> None:
    account, other = await cluster.new_account(), await cluster.new_account("other")
    token, untouched = await cluster.token_of(account), await cluster.token_of(other)
    assert await cluster.admits(untouched)
    await suspend(cluster, account)
    await eventually(refusal_of(cluster, token), patience=PROMPTNESS)

    await cluster.servers.pop("admin").stop()

    async def outage_is_noticed() -> bool:
        return not await cluster.is_level()

    await eventually(outage_is_noticed)
    assert await cluster.refuses(token)
    assert await cluster.admits(untouched)


async def test_what_was_revoked_while_a_role_was_away_is_refused_when_it_is_back(cluster: Cluster) -> None:
    account = await cluster.new_account()
    token = await cluster.token_of(account)
    away = [server for role, server in cluster.servers.items() if role != "admin"]
    for server in away:
        await server.stop()

    await suspend(cluster, account)
    for server in away:
        await server.start()

    assert await cluster.refuses(token)


async def test_what_was_revoked_before_admin_was_restarted_stays_revoked(cluster: Cluster) -> None:
    account = await cluster.new_account()
    token = await cluster.token_of(account)
    await suspend(cluster, account)

    await cluster.admin.stop()
    await cluster.admin.start()

    assert await cluster.refuses(token)
    await eventually(cluster.is_level)


async def test_a_role_that_knows_no_list_yet_lets_nobody_in(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation, "FIRST_LIST_TIMEOUT", 0.2)
    token = await cluster.token_of(await cluster.new_account())
    keys = await cluster.roles.request("GET", f"{cluster.admin.url}/.well-known/jwks.json")
    element = cluster.servers["element"]
    await element.stop()
    await cluster.admin.stop()
    async with issuer_server(TokenMint()) as published:
        published.says(keys.body)  # so that it is not for want of keys
        issuer = {"type": "oauth", "jwks_url": published.jwks_url}
        await element.start(
            element.settings.model_copy(update={"auth": PluginSection.model_validate(issuer)})
        )

        answer = await cluster.roles.request("GET", f"{element.url}/api/v1/files", token=token)
        readiness = await cluster.roles.readiness(element)
        await cluster.admin.start()
        await eventually(cluster.is_level)
        later = await cluster.roles.request("GET", f"{element.url}/api/v1/files", token=token)

    assert (answer.status, answer.problem) == (503, "unavailable")
    assert "revoked" in answer.json()["detail"]
    assert readiness["checks"]["revocations"]["status"] == "degraded"
    assert later.status == 200


async def test_a_lost_list_takes_nothing_back(cluster: Cluster) -> None:
    """An older copy of the database comes back: it knows less than the roles do."""
    account = await cluster.new_account()
    token = await cluster.token_of(account)
    await suspend(cluster, account)
    others: dict[RoleName, RoleServer] = {
        role: server for role, server in cluster.servers.items() if role != "admin"
    }
    await eventually(refusal_of(cluster, token), patience=PROMPTNESS)

    await cluster.admin.stop()
    await sql_in(cluster.roles.data, "DELETE FROM revocations")
    await cluster.admin.start()
    newer = await cluster.new_account("newer")
    newer_token = await cluster.token_of(newer)
    await suspend(cluster, newer)

    cluster.servers = others
    await eventually(refusal_of(cluster, newer_token), patience=PROMPTNESS)
    assert await cluster.refuses(token)


async def test_a_row_that_is_none_does_not_end_the_looking(roles: Roles) -> None:
    admin = await roles.start("admin")
    token = await roles.token()
    url = f"{admin.url}/api/v1/files"
    columns = "revocations (sequence, id, client_id, issued_before, revoked_at, expires_at)"
    await sql_in(roles.data, f"INSERT INTO {columns} VALUES (1, 'x', 'x', 'never', 'never', 'never')")
    await asyncio.sleep(2 * LOOK_INTERVAL)
    await sql_in(roles.data, "DELETE FROM revocations")
    client_id = (roles.data / "secrets/client-administrator").read_text().partition(":")[0]
    later = time.time_ns() // 1000 + 3_600_000_000

    # As another process of admin would.
    await sql_in(
        roles.data,
        f"INSERT INTO {columns} VALUES (1, 'y', :client_id, :later, 1, :later)",
        {"client_id": client_id, "later": later},
    )

    async def is_refused() -> bool:
        return (await roles.request("GET", url, token=token)).status == 401

    await eventually(is_refused)


async def test_the_list_is_for_our_own_roles_only(cluster: Cluster) -> None:
    url = f"{cluster.admin.url}/api/v1/auth/revocations"

    statuses = {
        name: (await cluster.roles.request("GET", url, token=await cluster.roles.token(name))).status
        for name in ("element", "ingester", "query", "administrator")
    }

    assert statuses == {"element": 200, "ingester": 200, "query": 200, "administrator": 403}
