"""Tokens for one role alone (RFC 8707): good there, and nowhere else."""

from typing import Any, Final

from aiohttp import ClientSession, encode_basic_auth

from tests.services.admin.harness import claims_of
from tests.services.roles import Roles, RoleServer

PATHS: Final = {
    "admin": ("GET", "/api/v1/files"),
    "element": ("GET", "/api/v1/files"),
    "query": ("GET", "/api/v1/search?q=word"),
}


async def ask(roles: Roles, admin: RoleServer, **form: str) -> tuple[int, dict[str, Any]]:
    client_id, _, secret = (
        (roles.data / "secrets" / "client-administrator").read_text().strip().partition(":")
    )
    async with (
        ClientSession() as session,
        session.post(
            f"{admin.url}/api/v1/auth/token",
            data={"grant_type": "client_credentials", **form},
            headers={"Authorization": encode_basic_auth(client_id, secret)},
        ) as response,
    ):
        return response.status, await response.json()


async def admitting(roles: Roles, servers: list[RoleServer], token: str) -> set[str]:
    """The roles that let the token in."""
    found: set[str] = set()
    for server in servers:
        method, path = PATHS[server.role]
        answer = await roles.request(method, server.url + path, token=token)
        assert answer.status in (200, 401), answer
        if answer.status == 200:
            found.add(server.role)
    return found


async def test_a_token_for_one_role_is_good_there_alone(roles: Roles) -> None:
    admin = await roles.start("admin")
    servers = [
        admin,
        await roles.start_element(element={"port": roles.settings().port("element")}),
        await roles.start("query"),
    ]

    for server in servers:
        status, answer = await ask(roles, admin, resource=server.url)
        assert (status, claims_of(answer["access_token"])["aud"]) == (200, server.url)
        assert await admitting(roles, servers, answer["access_token"]) == {server.role}
        slash, _ = await ask(roles, admin, resource=f"{server.url}/")
        assert slash == 200
    _, everywhere = await ask(roles, admin)
    assert claims_of(everywhere["access_token"])["aud"] == "artstore"
    assert await admitting(roles, servers, everywhere["access_token"]) == {"admin", "element", "query"}


async def test_scope_and_resource_are_both_narrowed(roles: Roles) -> None:
    admin = await roles.start("admin")
    query = await roles.start("query")

    _, answer = await ask(roles, admin, resource=query.url, scope="files:read")

    claims = claims_of(answer["access_token"])
    assert (claims["aud"], claims["scope"], answer["scope"]) == (query.url, "files:read", "files:read")


async def test_a_place_that_is_no_role_of_the_cluster_is_no_resource(roles: Roles) -> None:
    admin = await roles.start("admin")

    for resource in (
        "https://evil.example",
        "artstore",
        "/",
        f"{admin.url}@evil.example",
        f"{admin.url}/api",
    ):
        status, answer = await ask(roles, admin, resource=resource)
        assert (status, answer["error"]) == (400, "invalid_target"), resource


async def test_a_token_for_one_role_is_revoked_and_described_like_any(roles: Roles) -> None:
    admin = await roles.start("admin")
    query = await roles.start("query")
    _, answer = await ask(roles, admin, resource=query.url)
    token = answer["access_token"]
    client_id, _, secret = (
        (roles.data / "secrets" / "client-administrator").read_text().strip().partition(":")
    )
    form = {"client_id": client_id, "client_secret": secret, "token": token}

    async with ClientSession() as session:
        async with session.post(f"{admin.url}/api/v1/auth/introspect", data=form) as response:
            found = await response.json()
        async with session.post(f"{admin.url}/api/v1/auth/revoke", data=form) as response:
            assert response.status == 200
        async with session.post(f"{admin.url}/api/v1/auth/introspect", data=form) as response:
            after = await response.json()

    assert (found["active"], found["aud"]) == (True, query.url)
    assert after == {"active": False}
