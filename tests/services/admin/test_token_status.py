"""What a client may ask about tokens that are out: revocation (RFC 7009) and introspection (RFC 7662)."""

from typing import Any, Final

import pytest
from aiohttp import encode_basic_auth

from artstore.core.client.tokens import ClientCredentials
from tests.services.admin.conftest import StartAdmin
from tests.services.admin.harness import ACCOUNTS, AdminClient, claims_of, eventually, sql
from tests.services.storage_element.harness import Answer

REVOKE: Final = "/api/v1/auth/revoke"
INTROSPECT: Final = "/api/v1/auth/introspect"
FILES: Final = "/api/v1/files"


async def new_client(
    admin: AdminClient, name: str = "billing", *, role: str = "READONLY"
) -> ClientCredentials:
    account = await admin.create_account(name, role=role)
    return ClientCredentials(account["client_id"], account["client_secret"])


async def ask(admin: AdminClient, path: str, client: ClientCredentials, **form: str) -> Answer:
    basic = encode_basic_auth(client.client_id, client.client_secret)
    return await admin.send("POST", path, headers={"Authorization": basic}, data=form)


async def introspect(admin: AdminClient, client: ClientCredentials, token: str) -> dict[str, Any]:
    answer = await ask(admin, INTROSPECT, client, token=token)
    assert answer.status == 200, answer
    assert answer.headers["Cache-Control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


async def status_of(admin: AdminClient, token: str) -> int:
    return (await admin.request("GET", FILES, token=token)).status


async def test_a_revoked_token_is_refused_from_the_answer_on(admin: AdminClient) -> None:
    client = await new_client(admin)
    token, other = await admin.token(client), await admin.token(client)
    assert await status_of(admin, token) == 200

    answer = await ask(admin, REVOKE, client, token=token, token_type_hint="access_token")

    assert (answer.status, answer.body) == (200, b"")
    refused = await admin.request("GET", FILES, token=token)
    assert (refused.status, refused.problem) == (401, "unauthenticated")
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    assert await status_of(admin, other) == 200


async def test_a_token_that_does_not_hold_anyway_is_as_good_as_revoked(admin: AdminClient) -> None:
    client = await new_client(admin)
    token = await admin.token(client)
    head, body, signature = token.split(".")

    for each in (token, token, "nonsense", f"{head}.{body}.{signature[:-4]}AAAA", "\x00", "é"):
        assert (await ask(admin, REVOKE, client, token=each)).status == 200


async def test_nobody_revokes_a_token_of_another_client(admin: AdminClient) -> None:
    client, other = await new_client(admin), await new_client(admin, "other", role="ADMIN")
    token = await admin.token(client)

    answer = await ask(admin, REVOKE, other, token=token)

    assert (answer.status, answer.json()["error"]) == (400, "unauthorized_client")
    assert await status_of(admin, token) == 200


@pytest.mark.parametrize("path", [REVOKE, INTROSPECT])
async def test_who_is_not_authenticated_learns_and_changes_nothing(admin: AdminClient, path: str) -> None:
    client = await new_client(admin)
    token = await admin.token(client)

    wrong = await ask(admin, path, ClientCredentials(client.client_id, "ars_wrong"), token=token)
    nobody = await ask(admin, path, ClientCredentials("sa_dev_nobody_00000000", "ars_x"), token=token)
    none = await admin.send("POST", path, data={"token": token})
    bearer = await admin.request("POST", path, token=token)

    assert {answer.status for answer in (wrong, nobody, none)} == {401}
    assert {answer.json()["error"] for answer in (wrong, nobody, none)} == {"invalid_client"}
    assert wrong.headers["WWW-Authenticate"].startswith("Basic ")
    assert wrong.json() == nobody.json()
    assert bearer.status == 400
    assert await status_of(admin, token) == 200


@pytest.mark.parametrize("path", [REVOKE, INTROSPECT])
async def test_a_request_without_a_token_is_malformed(admin: AdminClient, path: str) -> None:
    client = await new_client(admin)

    missing = await ask(admin, path, client, token_type_hint="access_token")
    empty = await ask(admin, path, client, token="")
    twice = await admin.send(
        "POST",
        path,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        data=f"token=a&token=b&client_id={client.client_id}&client_secret={client.client_secret}",
    )

    assert [(answer.status, answer.json()["error"]) for answer in (missing, empty, twice)] == [
        (400, "invalid_request")
    ] * 3


async def test_credentials_may_be_in_json_here_too(admin: AdminClient) -> None:
    client = await new_client(admin)
    token = await admin.token(client)
    body = {"client_id": client.client_id, "client_secret": client.client_secret, "token": token}

    assert (await admin.send("POST", INTROSPECT, json=body)).json()["active"] is True
    assert (await admin.send("POST", REVOKE, json=body)).status == 200
    assert (await admin.send("POST", INTROSPECT, json=body)).json() == {"active": False}


async def test_an_active_token_is_described(admin: AdminClient) -> None:
    client = await new_client(admin, role="USER")
    token = await admin.token(client, scope="files:read")
    claims = claims_of(token)

    assert await introspect(admin, client, token) == {
        "active": True,
        "scope": "files:read",
        "client_id": client.client_id,
        "username": "billing",
        "token_type": "Bearer",
        **{name: claims[name] for name in ("exp", "iat", "nbf", "sub", "aud", "iss", "jti")},
    }


async def test_of_tokens_that_are_not_theirs_clients_learn_nothing(admin: AdminClient) -> None:
    client, stranger = await new_client(admin), await new_client(admin, "stranger", role="OPERATOR")
    manager = await new_client(admin, "manager", role="ADMIN")
    token = await admin.token(client)

    assert await introspect(admin, stranger, token) == {"active": False}
    assert (await introspect(admin, manager, token))["client_id"] == client.client_id


@pytest.mark.parametrize("end", ["suspend", "delete", "revoke-tokens"])
async def test_what_the_roles_refuse_is_not_active(admin: AdminClient, end: str) -> None:
    account = await admin.create_account("billing")
    token = await admin.token(ClientCredentials(account["client_id"], account["client_secret"]))
    path = f"{ACCOUNTS}/{account['id']}"

    ended = (
        await admin.request("DELETE", path)
        if end == "delete"
        else await admin.request("POST", f"{path}/{end}")
    )

    assert ended.status in (200, 204)
    assert await introspect(admin, admin.credentials(), token) == {"active": False}
    assert await status_of(admin, token) == 401


async def test_garbage_is_not_active(admin: AdminClient) -> None:
    client = await new_client(admin)

    for token in ("nonsense", "a.b.c", "é", "\x00", "x" * 9000):
        assert await introspect(admin, client, token) == {"active": False}


async def test_the_metadata_tell_where_both_are(admin: AdminClient) -> None:
    metadata = (await admin.send("GET", "/.well-known/oauth-authorization-server")).json()

    assert metadata["revocation_endpoint"] == admin.url + REVOKE
    assert metadata["introspection_endpoint"] == admin.url + INTROSPECT
    for name in ("token", "revocation", "introspection"):
        methods = metadata[f"{name}_endpoint_auth_methods_supported"]
        assert set(methods) >= {"client_secret_basic", "client_secret_post"}


async def test_what_another_process_of_admin_revoked_is_refused_soon(start: StartAdmin) -> None:
    async with start() as admin:
        account = await admin.create_account("billing")
        token = await admin.token(ClientCredentials(account["client_id"], account["client_secret"]))
        revoked = "SELECT MAX(sequence) + 1 FROM revocations"
        number = (await sql(admin, revoked))[0][0] or 1
        await sql(
            admin,
            "INSERT INTO revocations (sequence, id, token_id, revoked_at, expires_at)"
            " VALUES (:number, 'x', :token_id, 0, 9000000000000000)",
            {"number": number, "token_id": claims_of(token)["jti"]},
        )

        async def is_refused() -> bool:
            return await status_of(admin, token) == 401

        await eventually(is_refused)


async def test_revocations_are_forgotten_when_no_token_can_need_them(admin: AdminClient) -> None:
    client = await new_client(admin)
    for _ in range(3):
        await ask(admin, REVOKE, client, token=await admin.token(client))
    await sql(admin, "UPDATE revocations SET expires_at = 1")

    last = await admin.token(client)
    await ask(admin, REVOKE, client, token=last)

    # The newest of the expired ones stays until then: its number must not be given twice.
    [(first, count)] = await sql(admin, "SELECT MIN(sequence), COUNT(*) FROM revocations")
    assert (first, count) == (3, 2)
    assert await status_of(admin, last) == 401
