"""Signing keys that are withdrawn: waiting, signing, verifying, provided; what takes their place."""

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from artstore.core.client.tokens import ClientCredentials
from artstore.core.config import SigningKeySettings
from artstore.services.admin import key_rotation
from tests.services.admin.conftest import StartAdmin
from tests.services.admin.harness import AdminClient, eventually, sql
from tests.services.admin.test_audit import records
from tests.services.admin.test_key_rotation import (
    KEYS,
    kid_of,
    listed,
    new_pem,
    new_token,
    next_after,
    provide,
    rotate,
    signs,
    with_keys,
)
from tests.services.admin.test_signing_keys import published_ids
from tests.services.admin.test_token_status import introspect

COPY_AS_EXPIRED = (
    "INSERT INTO signing_keys (kid, algorithm, public_jwk, private_key_encrypted, created_at, signs_from,"
    " signs_until, expires_at) SELECT :kid, algorithm, public_jwk, private_key_encrypted, created_at,"
    " signs_from, signs_until, expires_at FROM signing_keys WHERE kid = :like"
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done every few seconds is done all the time."""
    monkeypatch.setattr(SigningKeySettings, "refresh_interval", 0.1)
    monkeypatch.setattr(key_rotation, "CHECK_INTERVAL", 0.1)


async def withdraw(admin: AdminClient, kid: str) -> dict[str, Any]:
    answer = await admin.request("POST", f"{KEYS}/{kid}/withdraw", token=await new_token(admin))
    assert answer.status == 200, answer

    async def is_new_key_known() -> bool:
        """Keys are fetched once per cool-down at most."""
        return (await admin.request("GET", KEYS, token=await new_token(admin))).status == 200

    await eventually(is_new_key_known)
    key: dict[str, Any] = answer.json()
    return key


async def states(admin: AdminClient) -> dict[str, str]:
    return {kid: key["state"] for kid, key in (await listed(admin)).items()}


async def test_in_the_place_of_the_key_that_signs_one_is_made_that_signs_at_once(start: StartAdmin) -> None:
    async with start(**with_keys()) as admin:
        token = await new_token(admin)
        old = kid_of(token)
        client = admin.credentials()
        assert (await introspect(admin, client, token))["active"]

        withdrawn = await withdraw(admin, old)

        new = kid_of(await new_token(admin))
        assert withdrawn["state"] == "withdrawn"
        assert withdrawn["withdrawn_at"] == withdrawn["signs_until"] == withdrawn["expires_at"]
        assert await published_ids(admin) == {new}
        assert await introspect(admin, client, token) == {"active": False}
        assert await states(admin) == {old: "withdrawn", new: "signing"}
        assert await sql(
            admin, "SELECT private_key_encrypted FROM signing_keys WHERE kid = :kid", {"kid": old}
        ) == [(b"",)]
        [record] = await records(admin, event="signing_key_withdrawn")
        assert record["detail"]["kid"] == old


async def test_the_key_that_waits_signs_at_once_when_the_one_before_is_withdrawn(start: StartAdmin) -> None:
    async with start() as admin:
        old = kid_of(await new_token(admin))
        waiting = (await rotate(admin))["kid"]

        await withdraw(admin, old)

        assert kid_of(await new_token(admin)) == waiting
        assert await published_ids(admin) == {waiting}


async def test_the_key_that_signs_goes_on_when_the_one_that_waits_is_withdrawn(start: StartAdmin) -> None:
    async with start(**with_keys()) as admin:
        old = kid_of(await new_token(admin))
        waiting = (await rotate(admin))["kid"]

        await withdraw(admin, waiting)

        assert await states(admin) == {old: "signing", waiting: "withdrawn"}
        assert "expires_at" not in (await listed(admin))[old]
        after = (await rotate(admin))["kid"]
        assert after not in (old, waiting)
        assert await next_after(admin, {old}) == after


async def test_a_key_that_only_verifies_is_withdrawn_without_a_new_one_and_again_without_effect(
    start: StartAdmin,
) -> None:
    async with start(**with_keys()) as admin:
        token = await new_token(admin)
        old = kid_of(token)
        new = (await rotate(admin))["kid"]
        await eventually(lambda: signs(admin, new))

        withdrawn = await withdraw(admin, old)

        assert await withdraw(admin, old) == withdrawn
        assert await states(admin) == {old: "withdrawn", new: "signing"}
        assert (await admin.request("GET", KEYS, token=token)).status == 401


async def test_a_key_that_nobody_knows_cannot_be_withdrawn(admin: AdminClient) -> None:
    for kid, status in (("x" * 43, 404), ("..%2Frotate", 400)):
        assert (await admin.request("POST", f"{KEYS}/{kid}/withdraw")).status == status
    assert len(await published_ids(admin)) == 1


async def test_only_administrators_withdraw_keys(admin: AdminClient) -> None:
    account = await admin.create_account("operator", role="OPERATOR")
    token = await admin.token(ClientCredentials(account["client_id"], account["client_secret"]))
    path = f"{KEYS}/{kid_of(token)}/withdraw"

    assert (await admin.request("POST", path, token=token)).status == 403
    assert (await admin.send("POST", path)).status == 401
    assert await published_ids(admin) == {kid_of(token)}


async def test_a_provided_key_that_was_withdrawn_is_never_taken_again(
    start: StartAdmin, tmp_path: Path
) -> None:
    stolen, other = new_pem(), new_pem()
    with capture_logs() as logs:
        async with start(**with_keys()) as admin:
            made = kid_of(await new_token(admin))
            provide(tmp_path, stolen)
            provided = await next_after(admin, {made})

            await withdraw(admin, provided)

            stopgap = kid_of(await new_token(admin))
            assert stopgap not in (made, provided)

            async def is_refused() -> bool:
                return bool(await admin.metric("artstore_signing_key_rotations_total", outcome="failure"))

            await eventually(is_refused)
            assert kid_of(await new_token(admin)) == stopgap
            provide(tmp_path, other)
            last = await next_after(admin, {made, provided, stopgap})
            assert (await states(admin))[provided] == "withdrawn"
            assert last in await published_ids(admin)

    told = [log["reason"] for log in logs if log["event"] == "key_not_rotated"]
    assert told == [f"the secret signing-key has key {provided}, which was withdrawn: put another key there"]


async def test_what_was_withdrawn_is_remembered_for_ever(start: StartAdmin) -> None:
    async with start(**with_keys()) as admin:
        old = kid_of(await new_token(admin))
        await withdraw(admin, old)
        await sql(admin, "UPDATE signing_keys SET expires_at = 1 WHERE kid = :kid", {"kid": old})
        await sql(admin, COPY_AS_EXPIRED, {"kid": "copy", "like": old})

        async def is_forgotten() -> bool:
            return await sql(admin, "SELECT COUNT(*) FROM signing_keys WHERE kid = 'copy'") == [(0,)]

        await eventually(is_forgotten)
        assert (await sql(admin, "SELECT COUNT(*) FROM signing_keys WHERE kid = :kid", {"kid": old})) == [
            (1,)
        ]
