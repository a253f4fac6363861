"""What may be asked about tokens of people: revocation (RFC 7009) and introspection (RFC 7662)."""

from typing import Any

import pytest

from artstore.core.client.tokens import ClientCredentials
from tests.services.admin.harness import AdminClient, claims_of, sql
from tests.services.admin.people import LOGOUT, log_in, try_refresh, works
from tests.services.admin.test_audit import records
from tests.services.admin.test_token_status import INTROSPECT, REVOKE, ask, introspect, new_client
from tests.services.storage_element.harness import Answer


async def revoke(admin: AdminClient, token: str, **named: str) -> Answer:
    """As whoever has the token: without credentials."""
    return await admin.send("POST", REVOKE, data={"token": token, **named})


async def session_of(admin: AdminClient, username: str) -> list[dict[str, Any]]:
    """The tokens of a login, and of the two refreshes that followed."""
    tokens = [await log_in(admin, username)]
    for _ in range(2):
        answer = await try_refresh(admin, tokens[-1]["refresh_token"])
        assert answer.status == 200, answer
        tokens.append(answer.json())
    return tokens


@pytest.mark.parametrize(
    ("number", "kind"),
    [(2, "refresh_token"), (0, "refresh_token"), (2, "access_token"), (0, "access_token")],
    ids=["last", "used", "access", "earlier-access"],
)
async def test_any_token_of_a_session_ends_all_of_it(people: AdminClient, number: int, kind: str) -> None:
    family, other = await session_of(people, "anna"), await log_in(people, "anna")

    answer = await revoke(people, family[number][kind], token_type_hint=kind)

    assert (answer.status, answer.body, answer.headers["Cache-Control"]) == (200, b"", "no-store")
    assert not any([await works(people, each["access_token"]) for each in family])
    assert (await try_refresh(people, family[-1]["refresh_token"])).status == 401
    assert await works(people, other["access_token"])
    assert (await try_refresh(people, other["refresh_token"])).status == 200


async def test_a_token_whose_session_has_ended_is_as_good_as_revoked(people: AdminClient) -> None:
    tokens = await log_in(people, "anna")
    await people.request("POST", LOGOUT, token=tokens["access_token"])

    for token in (tokens["refresh_token"], tokens["refresh_token"], "nonsense", "\x00", "é"):
        assert (await revoke(people, token, client_id="user_anna")).status == 200


async def test_nobody_ends_a_session_in_the_name_of_somebody_else(people: AdminClient) -> None:
    tokens = await log_in(people, "anna")
    client = await new_client(people, role="ADMIN")

    answers = [
        await revoke(people, tokens["refresh_token"], client_id="user_rita"),
        await ask(people, REVOKE, client, token=tokens["refresh_token"]),
        await ask(people, REVOKE, client, token=tokens["access_token"]),
    ]

    assert [(each.status, each.json()["error"]) for each in answers] == [(400, "unauthorized_client")] * 3
    assert (await try_refresh(people, tokens["refresh_token"])).status == 200


async def test_applications_still_have_to_prove_themselves(people: AdminClient) -> None:
    token = await people.token(await new_client(people))

    answers = [await revoke(people, token), await revoke(people, token, client_id="user_anna")]

    assert [(each.status, each.json()["error"]) for each in answers] == [(401, "invalid_client")] * 2
    assert (await people.request("GET", "/api/v1/files", token=token)).status == 200


async def test_a_refresh_token_that_is_good_is_described(people: AdminClient) -> None:
    manager = await new_client(people, "manager", role="ADMIN")
    token = (await log_in(people, "anna"))["refresh_token"]
    claims = claims_of(token)

    assert await introspect(people, manager, token) == {
        "active": True,
        "client_id": "user_anna",
        "username": "anna",
        **{name: claims[name] for name in ("exp", "iat", "nbf", "sub", "aud", "iss", "jti")},
    }


async def test_a_refresh_token_that_would_be_refused_is_not_active(people: AdminClient) -> None:
    manager, stranger = await new_client(people, "manager", role="ADMIN"), await new_client(people)
    used, good = await log_in(people, "anna"), await log_in(people, "anna")
    ended, expired = await log_in(people, "anna"), await log_in(people, "rita")
    await try_refresh(people, used["refresh_token"])
    await people.request("POST", LOGOUT, token=ended["access_token"])
    await sql(
        people,
        "UPDATE refresh_tokens SET expires_at = 1 WHERE access_token_id = :id",
        {"id": claims_of(expired["access_token"])["jti"]},
    )

    async def is_active(tokens: dict[str, Any], client: ClientCredentials = manager) -> bool:
        return bool((await introspect(people, client, tokens["refresh_token"]))["active"])

    assert await is_active(good)
    assert not await is_active(good, stranger)
    assert not any([await is_active(each) for each in (used, ended, expired)])
    assert (await people.send("POST", INTROSPECT, data={"token": good["refresh_token"]})).status == 401


async def test_the_audit_log_says_who_ended_the_session(people: AdminClient) -> None:
    tokens = await log_in(people, "anna")

    await revoke(people, tokens["refresh_token"])

    (record,) = await records(people, event="revoke_token")
    assert (record["outcome"], record["actor"]["client_id"]) == ("succeeded", "user_anna")
