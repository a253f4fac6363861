"""Rotation of the signing key: by time, by hand, by a new secret; killed in its middle, under load."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from structlog.testing import capture_logs

from artstore.core.client.tokens import ClientCredentials
from artstore.core.config import SigningKeySettings
from artstore.core.spec import ConfigurationError
from artstore.services.admin import key_rotation
from tests.services.admin.conftest import StartAdmin
from tests.services.admin.dying import dying_admin
from tests.services.admin.harness import (
    AdminClient,
    ElementServer,
    Port,
    admin_settings,
    claims_of,
    eventually,
    running_admin,
    sql,
    sql_in,
)
from tests.services.admin.test_signing_keys import published_ids

KEYS: Final = "/api/v1/jwt-keys"
VERIFIER: Final = {"type": "oauth", "refetch_cooldown": 0.2}


def with_keys(**signing_keys: Any) -> dict[str, Any]:
    """Verifiers keep keys for a second, so that a new one waits little longer before it signs."""
    keys = {"jwks_lifetime": 1, "rotation_period": 3600, **signing_keys}
    return {"signing_keys": keys, "auth": VERIFIER}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done every few seconds is done all the time."""
    monkeypatch.setattr(SigningKeySettings, "refresh_interval", 0.1)
    monkeypatch.setattr(key_rotation, "CHECK_INTERVAL", 0.1)


async def rotate(admin: AdminClient) -> dict[str, Any]:
    answer = await admin.request("POST", f"{KEYS}/rotate")
    assert answer.status == 201, answer
    key: dict[str, Any] = answer.json()
    return key


async def listed(admin: AdminClient) -> dict[str, dict[str, Any]]:
    answer = await admin.request("GET", KEYS, token=await new_token(admin))
    assert answer.status == 200, answer
    return {key["kid"]: key for key in answer.json()["items"]}


async def new_token(admin: AdminClient) -> str:
    return await admin.token(admin.credentials())


def kid_of(token: str) -> str:
    return str(claims_of(token, part=0)["kid"])


async def signs(admin: AdminClient, kid: str) -> bool:
    return kid_of(await new_token(admin)) == kid


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_the_next_key_is_published_before_it_signs_and_the_old_one_verifies_on(
    start: StartAdmin,
) -> None:
    async with start(**with_keys()) as admin:
        [old] = await published_ids(admin)
        old_token = await new_token(admin)

        new = await rotate(admin)

        assert new["state"] == "waiting"
        assert await published_ids(admin) == {old, new["kid"]}
        assert kid_of(await new_token(admin)) == old
        assert (await admin.send("GET", "/.well-known/jwks.json")).headers["Cache-Control"] == (
            "public, max-age=1"
        )
        await eventually(lambda: signs(admin, new["kid"]))
        assert (await admin.request("GET", KEYS, token=old_token)).status == 200
        keys = await listed(admin)

    assert keys[new["kid"]]["state"] == "signing"
    assert keys[old]["state"] == "verifying"
    assert keys[old]["signs_until"] == new["signs_from"]
    ahead = moment(new["signs_from"]) - moment(new["created_at"])
    assert timedelta(seconds=1) < ahead < timedelta(seconds=10)
    kept = moment(keys[old]["expires_at"]) - moment(keys[old]["signs_until"])
    assert kept == timedelta(seconds=1800) + timedelta(hours=1)


async def test_rotating_again_while_a_key_waits_makes_no_other(start: StartAdmin) -> None:
    async with start() as admin:
        first, *others = await asyncio.gather(*(rotate(admin) for _ in range(4)))

        assert {key["kid"] for key in others} == {first["kid"]}
        assert len(await published_ids(admin)) == 2


async def test_a_key_is_replaced_when_it_is_old_enough(start: StartAdmin) -> None:
    async with start() as admin:
        [old] = await published_ids(admin)
        yesterday = int((time.time() - 86_400) * 1e6)
        await sql(admin, "UPDATE signing_keys SET signs_from = :yesterday", {"yesterday": yesterday})

        async def is_published() -> bool:
            return len((await listed(admin)).keys() - {old}) == 1

        await eventually(is_published)
        status = await admin.get(f"{KEYS}/status")

    assert status["signing"]["kid"] == old
    assert status["waiting"]["state"] == "waiting"
    assert status["next_rotation_at"] == status["waiting"]["signs_from"]
    assert (status["published"], status["source"]) == (2, "generated")


async def test_a_young_key_is_left_alone_and_the_time_of_the_next_is_told(start: StartAdmin) -> None:
    async with start() as admin:
        status = await admin.get(f"{KEYS}/status")

    planned = moment(status["next_rotation_at"]) - moment(status["signing"]["signs_from"])
    assert planned == timedelta(days=1)
    assert "waiting" not in status


async def test_the_size_of_keys_is_configured(start_first: StartAdmin) -> None:
    async with start_first(**with_keys(size=3072)) as admin:
        token = await new_token(admin)
        key_set = jwt.PyJWKSet.from_dict((await admin.send("GET", "/.well-known/jwks.json")).json())

        verified = jwt.decode(token, key_set[kid_of(token)], ["RS256"], audience="artstore")
        [key] = (await admin.get(KEYS))["items"]

    assert verified["token_use"] == "access"
    assert key["size"] == 3072


async def test_what_expired_is_remembered_without_its_private_half(start: StartAdmin) -> None:
    async with start(**with_keys()) as admin:
        [old] = await published_ids(admin)
        new = await rotate(admin)
        await eventually(lambda: signs(admin, new["kid"]))

        await sql(
            admin,
            "UPDATE signing_keys SET expires_at = :now WHERE kid = :kid",
            {"kid": old, "now": int(time.time() * 1e6)},
        )

        async def is_erased() -> bool:
            [(size,)] = await sql(
                admin, "SELECT LENGTH(private_key_encrypted) FROM signing_keys WHERE kid = :kid", {"kid": old}
            )
            return bool(size == 0)

        await eventually(is_erased)
        assert (await listed(admin))[old]["state"] == "expired"

        async def is_published_alone() -> bool:
            return await published_ids(admin) == {new["kid"]}

        await eventually(is_published_alone)


async def test_keys_are_measured(start: StartAdmin) -> None:
    async with start(**with_keys()) as admin:
        before = await admin.metric("artstore_signing_key_age_seconds")
        assert await admin.metric("artstore_signing_keys", state="signing") == 1

        new = await rotate(admin)

        assert await admin.metric("artstore_signing_keys", state="waiting") == 1
        assert await admin.metric("artstore_signing_key_rotations_total", outcome="success") == 1
        await eventually(lambda: signs(admin, new["kid"]))
        after = await admin.metric("artstore_signing_key_age_seconds")
        assert await admin.metric("artstore_signing_keys", state="verifying") == 1
        assert before is not None
        assert after is not None
        assert after < before


async def test_keys_are_the_business_of_administrators(admin: AdminClient) -> None:
    account = await admin.create_account("operator", role="OPERATOR")
    token = await admin.token(ClientCredentials(account["client_id"], account["client_secret"]))

    for method, path in (("GET", KEYS), ("GET", f"{KEYS}/status"), ("POST", f"{KEYS}/rotate")):
        assert (await admin.request(method, path, token=token)).status == 403
        assert (await admin.send(method, path)).status == 401


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def new_pem(size: int = 2048) -> bytes:
    return pem(rsa.generate_private_key(public_exponent=65537, key_size=size))


def provide(data: Path, value: bytes) -> None:
    secret = data / "secrets" / "signing-key"
    secret.touch(mode=0o600)
    secret.write_bytes(value)


async def test_a_key_that_an_operator_provides_takes_its_turn_and_so_does_the_next(
    start: StartAdmin, tmp_path: Path
) -> None:
    file = tmp_path / "key.pem"
    file.touch(mode=0o600)

    async with start(**with_keys()) as admin:
        made = kid_of(await new_token(admin))
        provide(tmp_path, new_pem())
        first = await next_after(admin, {made})
        file.write_bytes(new_pem())
        provide(tmp_path, f"{file}\n".encode())  # the path of a file instead of its content
        second = await next_after(admin, {made, first})
        file.write_bytes(new_pem())  # and then another file there
        await next_after(admin, {made, first, second})
        status = await admin.get(f"{KEYS}/status")
        refused = await admin.request("POST", f"{KEYS}/rotate")

    assert status["source"] == "provided"
    assert "next_rotation_at" not in status
    assert (refused.status, refused.problem) == (501, "unsupported")


async def next_after(admin: AdminClient, known: set[str]) -> str:
    """The key that signs when none of ``known`` does any more."""

    async def other() -> str | None:
        kid = kid_of(await new_token(admin))
        return None if kid in known else kid

    return await eventually(other) or ""


async def test_a_provided_key_is_the_first_where_there_is_none(
    start_first: StartAdmin, tmp_path: Path
) -> None:
    (tmp_path / "secrets").mkdir(mode=0o700)
    provide(tmp_path, new_pem(3072))

    async with start_first() as admin:
        [key] = (await admin.get(KEYS))["items"]

        assert (key["size"], key["state"]) == (3072, "signing")
        assert await signs(admin, key["kid"])


UNUSABLE: Final = {
    "no PEM": (b"changeme", "neither PEM nor"),
    "another kind": (pem(ec.generate_private_key(ec.SECP256R1())), "not an RSA key"),
    "too weak": (new_pem(1024), "not an RSA key"),
    "cut": (new_pem()[:300], "not a private key in PEM"),
    "no file": (b"/nonexistent/key.pem", "cannot be read"),
}


@pytest.mark.parametrize("case", UNUSABLE)
async def test_a_provided_key_that_cannot_be_used_is_told_in_one_line(
    start: StartAdmin, tmp_path: Path, case: str
) -> None:
    value, why = UNUSABLE[case]
    provide(tmp_path, value)

    with pytest.raises(ConfigurationError, match=why) as told:
        async with start():
            pass

    assert "'signing-key'" in str(told.value)
    assert "\n" not in str(told.value)
    assert "changeme" not in str(told.value)


async def test_a_file_of_a_key_that_others_can_read_is_refused(start: StartAdmin, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(new_pem())
    (tmp_path / "key.pem").chmod(0o644)
    provide(tmp_path, str(tmp_path / "key.pem").encode())

    with pytest.raises(ConfigurationError, match="others can read: chmod 600"):
        async with start():
            pass


async def test_a_bad_secret_under_a_running_admin_leaves_the_present_key(
    start: StartAdmin, tmp_path: Path
) -> None:
    with capture_logs() as logs:
        async with start(**with_keys()) as admin:
            before = kid_of(await new_token(admin))

            provide(tmp_path, b"-----BEGIN nonsense")

            async def is_counted() -> bool:
                return bool(await admin.metric("artstore_signing_key_rotations_total", outcome="failure"))

            await eventually(is_counted)
            assert kid_of(await new_token(admin)) == before

    told = [log for log in logs if log["event"] == "key_not_rotated"]
    assert len(told) == 1
    assert "signing-key" in told[0]["reason"]


class Load:
    """Clients that get a token and use it at admin and at an element, again and again."""

    def __init__(self, admin: AdminClient, element: ElementServer) -> None:
        self._admin = admin
        self._element = element
        self._kept: list[str] = []
        self.kids: set[str] = set()
        self.failures: list[object] = []
        self.requests = 0

    @asynccontextmanager
    async def applied(self, clients: int = 4) -> AsyncGenerator[None, None]:
        tasks = [asyncio.create_task(self._work()) for _ in range(clients)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            answer = await self._admin.ask_token(self._admin.credentials())
            if answer.status != 200:
                self.failures.append(answer)
                continue
            token = answer.json()["access_token"]
            self.kids.add(kid_of(token))
            self._kept.append(token)
            for each in (token, self._kept[len(self._kept) // 2]):
                await self._use(each)
            await asyncio.sleep(0.02)

    async def _use(self, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        at_admin = await self._admin.send("GET", KEYS, headers=headers)
        at_element = await self._admin.send_to(self._element.url, "GET", "/api/v1/files", token=token)
        self.requests += 3
        self.failures += [answer for answer in (at_admin, at_element) if answer.status != 200]


@pytest.mark.parametrize(
    "die_at",
    [
        pytest.param(1, marks=pytest.mark.slow),
        2,
        pytest.param(3, marks=pytest.mark.slow),
    ],
    ids=["before", "in the middle", "after"],
)
async def test_a_rotation_that_is_killed_under_load_costs_no_request(
    tmp_path: Path, started_before: Path, start: StartAdmin, port: Port, die_at: int
) -> None:
    sections: dict[str, Any] = with_keys(rotation_period=5) | {"server": {"rate_limits": {"credentials": 0}}}
    now = int(time.time() * 1e6)
    await sql_in(tmp_path, "UPDATE signing_keys SET signs_from = :now", {"now": now})
    other = admin_settings(tmp_path, Port.free(), issuer=port.url, **sections)
    element = ElementServer(tmp_path, port, auth=VERIFIER)
    async with (
        dying_admin("tests.services.admin.dying_rotation", other, die_at=die_at) as process,
        running_admin(admin_settings(tmp_path, port, issuer=port.url, **sections)) as admin,
        element.running(),
    ):
        load = Load(admin, element)
        async with load.applied():
            async with asyncio.timeout(20):
                await process.wait()
            await sql(
                admin, "UPDATE leases SET expires_at = 0"
            )  # of who was killed: no need to wait for that

            async def has_rotated() -> bool:
                return len(load.kids) >= 2

            await eventually(has_rotated)
        keys = await listed(admin)

    assert load.failures == []
    assert load.requests > 100
    assert sum(key["state"] == "signing" for key in keys.values()) == 1
