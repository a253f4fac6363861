"""A signing key that somebody else has: withdrawn, it opens nothing at any role, with or without admin."""

import asyncio
import secrets
import time
from pathlib import Path
from typing import Final

import jwt
import pytest

from artstore.services.admin.master_key import MasterKey
from tests.services.admin.harness import claims_of, eventually, run_sql
from tests.services.roles import Roles, RoleServer

KEYS: Final = "/api/v1/jwt-keys"
PROMPTNESS: Final = 5.0
"""Seconds that are certainly no moments any more; the long poll of the roles takes longer."""
YEARS: Final = 10 * 365 * 86400


class Thief:
    """Has the private key of a cluster, and makes the tokens it wants."""

    def __init__(self, data: Path) -> None:
        [[self.kid, encrypted]] = run_sql(data, "SELECT kid, private_key_encrypted FROM signing_keys")
        master_key = MasterKey((data / "secrets" / "master-key").read_bytes().strip())
        self._key = master_key.decrypt(encrypted, kid=self.kid)

    def token(self, like: str) -> str:
        """One that holds for years and that nobody has issued."""
        claims = {**claims_of(like), "jti": secrets.token_hex(16), "exp": int(time.time()) + YEARS}
        return jwt.encode(claims, self._key, "RS256", headers={"kid": self.kid, "typ": "at+jwt"})


class Cluster:
    """Admin, and two roles that verify tokens by themselves."""

    def __init__(self, roles: Roles, admin: RoleServer, *others: RoleServer) -> None:
        self.roles = roles
        self.admin = admin
        self.others = others

    async def statuses(self, token: str) -> set[int]:
        paths = {"element": "/api/v1/files", "query": "/api/v1/search?q=word"}
        return {
            (await self.roles.request("GET", each.url + paths[each.role], token=token)).status
            for each in self.others
        }

    async def until_answered(self, token: str, status: int, *, patience: float = PROMPTNESS) -> None:
        async def is_so() -> bool:
            return await self.statuses(token) == {status}

        await eventually(is_so, patience=patience)

    async def new_token(self) -> str:
        self.roles.forget_tokens()
        return await self.roles.token()

    async def withdraw(self, kid: str) -> None:
        answer = await self.roles.request("POST", f"{self.admin.url}{KEYS}/{kid}/withdraw")
        assert answer.status == 200, answer
        assert answer.json()["state"] == "withdrawn"

    async def published(self) -> set[str]:
        answer = await self.roles.request("GET", f"{self.admin.url}/.well-known/jwks.json")
        return {key["kid"] for key in answer.json()["keys"]}


@pytest.fixture
async def cluster(roles: Roles) -> Cluster:
    admin = await roles.start("admin")
    return Cluster(roles, admin, await roles.start_element(), await roles.start("query"))


async def test_a_stolen_key_opens_nothing_once_it_is_withdrawn(cluster: Cluster) -> None:
    thief = await asyncio.to_thread(Thief, cluster.roles.data)
    honest = await cluster.new_token()
    forged = thief.token(like=honest)
    await cluster.until_answered(forged, 200)

    await cluster.withdraw(thief.kid)

    await cluster.until_answered(forged, 401)
    assert await cluster.statuses(honest) == {401}
    assert await cluster.statuses(thief.token(like=honest)) == {401}
    assert thief.kid not in await cluster.published()
    new = await cluster.new_token()
    await cluster.until_answered(new, 200)
    assert {claims_of(new, part=0)["kid"]} == await cluster.published()


async def test_a_withdrawn_key_stays_so_while_admin_is_away_and_when_it_is_back(cluster: Cluster) -> None:
    thief = await asyncio.to_thread(Thief, cluster.roles.data)
    honest = await cluster.new_token()
    await cluster.until_answered(honest, 200)
    await cluster.withdraw(thief.kid)
    new = await cluster.new_token()
    await cluster.until_answered(new, 200)

    await cluster.admin.stop()
    # Whether admin has published such a key since they asked last, they cannot know.
    assert await cluster.statuses(thief.token(like=honest)) <= {401, 503}
    assert await cluster.statuses(new) == {200}

    await cluster.admin.start()
    await cluster.until_answered(await cluster.new_token(), 200)
    await cluster.until_answered(thief.token(like=honest), 401)
    assert thief.kid not in await cluster.published()


async def test_a_role_that_was_cut_off_learns_of_it_before_it_lets_anybody_in(cluster: Cluster) -> None:
    thief = await asyncio.to_thread(Thief, cluster.roles.data)
    honest = await cluster.new_token()
    for role in cluster.others:
        await role.stop()
    await cluster.withdraw(thief.kid)

    for role in cluster.others:
        await role.start()

    await cluster.until_answered(await cluster.new_token(), 200)
    assert await cluster.statuses(thief.token(like=honest)) == {401}
