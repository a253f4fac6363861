"""The keys that sign tokens: made once, kept through restarts, never readable, and never foreign."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from structlog.testing import capture_logs

from artstore.core.config import SigningKeySettings
from artstore.core.spec import ConfigurationError
from artstore.services.admin.key_material import generate_key, signing_key
from artstore.services.admin.master_key import MasterKey
from tests.services.admin.conftest import StartAdmin
from tests.services.admin.harness import (
    ACCOUNTS,
    AdminClient,
    Port,
    admin_settings,
    claims_of,
    eventually,
    lose_database,
    running_admin,
    sql,
)

JWKS = "/.well-known/jwks.json"


async def published(admin: AdminClient) -> list[dict[str, Any]]:
    answer = await admin.send("GET", JWKS)
    assert answer.status == 200, answer
    keys: list[dict[str, Any]] = answer.json()["keys"]
    return keys


async def published_ids(admin: AdminClient) -> set[str]:
    return {key["kid"] for key in await published(admin)}


async def stored_key(admin: AdminClient) -> tuple[str, bytes]:
    [(kid, encrypted)] = await sql(admin, "SELECT kid, private_key_encrypted FROM signing_keys")
    return kid, encrypted


async def add_key(admin: AdminClient, master_key: bytes, **changes: Any) -> str:
    """Another process of the cluster adds a key."""
    row = await asyncio.to_thread(
        signing_key, generate_key(2048), MasterKey(master_key), signs_from=datetime.now(UTC)
    )
    columns = row.model_copy(update=changes).to_row()
    names = ", ".join(columns)
    await sql(
        admin, f"INSERT INTO signing_keys ({names}) VALUES ({', '.join(f':{n}' for n in columns)})", columns
    )
    return str(columns["kid"])


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are looked at again at once."""
    monkeypatch.setattr(SigningKeySettings, "refresh_interval", 0.02)


async def test_what_is_published_is_one_public_key_that_may_be_cached(admin: AdminClient) -> None:
    answer = await admin.send("GET", JWKS)

    [key] = answer.json()["keys"]
    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}
    assert (key["kty"], key["use"], key["alg"]) == ("RSA", "sig", "RS256")
    assert answer.headers["Cache-Control"] == "public, max-age=300"


async def test_a_restart_keeps_the_key_and_the_tokens(start: StartAdmin) -> None:
    async with start() as admin:
        token = await admin.administrator_token()
        before = await published(admin)

    async with start() as admin:
        assert await published(admin) == before
        assert (await admin.request("GET", ACCOUNTS, token=token)).status == 200


async def test_after_the_loss_of_the_database_new_keys_sign(start: StartAdmin, tmp_path: Path) -> None:
    async with start() as admin:
        before = await published_ids(admin)
        old_token = await admin.administrator_token()
    lose_database(tmp_path)

    async with start() as admin:
        token = await admin.administrator_token()

        assert before.isdisjoint(await published_ids(admin))
        assert (await admin.request("GET", ACCOUNTS, token=token)).status == 200
        assert (await admin.request("GET", ACCOUNTS, token=old_token)).status == 401


async def test_two_admins_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    async def start_and_ask() -> list[dict[str, Any]]:
        async with running_admin(admin_settings(tmp_path, Port.free())) as admin:
            return await published(admin)

    one, other = await asyncio.gather(start_and_ask(), start_and_ask())

    assert len(one) == 1
    assert one == other


async def test_the_private_key_cannot_be_read_from_the_database(admin: AdminClient) -> None:
    kid, encrypted = await stored_key(admin)
    master_key = MasterKey((admin.secrets / "master-key").read_bytes().strip())
    private_key = master_key.decrypt(encrypted, kid=kid)
    plain = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    prime = private_key.private_numbers().p.to_bytes(128, "big")

    for file in admin.data.glob("*.db*"):
        content = file.read_bytes()
        assert plain[:64] not in content
        assert prime not in content
        assert plain not in content
    assert prime in plain  # or the test looked for nothing


async def test_another_master_key_is_told_in_one_line(start: StartAdmin, tmp_path: Path) -> None:
    async with start():
        pass
    (tmp_path / "secrets" / "master-key").write_text("x" * 64)

    with pytest.raises(ConfigurationError) as told:
        async with start():
            pass

    assert "master-key" in str(told.value)
    assert "restore that secret" in str(told.value)
    assert "\n" not in str(told.value)


async def test_a_master_key_that_can_be_guessed_is_refused(start_first: StartAdmin, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir(mode=0o700)
    (tmp_path / "secrets" / "master-key").touch(mode=0o600)
    (tmp_path / "secrets" / "master-key").write_text("changeme\n")

    with pytest.raises(ConfigurationError, match=r"'master-key' .* has 8 bytes: it needs at least 32"):
        async with start_first():
            pass


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
async def test_a_damaged_key_is_told_and_not_used(start: StartAdmin, damage: str) -> None:
    async with start() as admin:
        _, encrypted = await stored_key(admin)
        damaged = {
            "cut": encrypted[:20],
            "flipped": encrypted[:-1] + bytes([encrypted[-1] ^ 1]),
            "empty": b"",
        }
        await sql(admin, "UPDATE signing_keys SET private_key_encrypted = :new", {"new": damaged[damage]})

    with pytest.raises(ConfigurationError, match="cannot be decrypted"):
        async with start():
            pass


async def test_a_key_cannot_be_passed_off_as_another(start: StartAdmin) -> None:
    async with start() as admin:
        await sql(admin, "UPDATE signing_keys SET kid = 'other'")

    with pytest.raises(ConfigurationError, match="signing key other"):
        async with start():
            pass


async def test_a_key_that_another_process_adds_is_published(impatient: None, admin: AdminClient) -> None:
    before = await published_ids(admin)
    later = datetime.now(UTC) + timedelta(hours=1)

    added = await add_key(admin, (admin.secrets / "master-key").read_bytes().strip(), signs_from=later)

    await eventually(lambda: has_published(admin, added))
    assert await published_ids(admin) == {*before, added}
    token = await admin.token(admin.credentials())
    assert claims_of(token, part=0)["kid"] in before


async def has_published(admin: AdminClient, kid: str) -> bool:
    return kid in await published_ids(admin)


async def test_the_newest_key_signs_and_a_retired_one_verifies_until_it_expires(
    impatient: None, admin: AdminClient
) -> None:
    [old] = await published_ids(admin)
    old_token = await admin.administrator_token()
    new = await add_key(admin, (admin.secrets / "master-key").read_bytes().strip())
    await sql(admin, f"UPDATE signing_keys SET signs_until = 1 WHERE kid = '{old}'")
    await eventually(lambda: has_published(admin, new))

    assert claims_of(await admin.token(admin.credentials()), part=0)["kid"] == new
    assert await has_published(admin, old)
    assert (await admin.request("GET", ACCOUNTS, token=old_token)).status == 200

    await sql(admin, f"UPDATE signing_keys SET expires_at = 1 WHERE kid = '{old}'")
    await eventually(lambda: is_withdrawn(admin, old))


async def test_a_key_that_another_process_retires_does_not_sign_any_more(
    impatient: None, admin: AdminClient
) -> None:
    [old] = await published_ids(admin)
    new = await add_key(admin, (admin.secrets / "master-key").read_bytes().strip())
    await eventually(lambda: signs(admin, new))

    await sql(admin, f"UPDATE signing_keys SET signs_until = 1 WHERE kid = '{new}'")

    await eventually(lambda: signs(admin, old))


async def signs(admin: AdminClient, kid: str) -> bool:
    return bool(claims_of(await admin.token(admin.credentials()), part=0)["kid"] == kid)


async def is_withdrawn(admin: AdminClient, kid: str) -> bool:
    return kid not in await published_ids(admin)


async def test_whoever_can_write_to_the_database_cannot_make_a_key_believed(
    impatient: None, admin: AdminClient
) -> None:
    before = await published_ids(admin)

    with capture_logs() as logs:
        planted = await add_key(admin, b"another master key, of the attacker")
        await eventually(lambda: was_refused(admin, logs, planted))
        await asyncio.sleep(0.1)
        await published(admin)

    assert await published_ids(admin) == before
    assert claims_of(await admin.token(admin.credentials()), part=0)["kid"] in before
    assert len([log for log in logs if log["event"] == "signing_key_refused"]) == 1


async def was_refused(admin: AdminClient, logs: list[Any], kid: str) -> bool:
    await published(admin)
    return any(log["event"] == "signing_key_refused" and log["kid"] == kid for log in logs)


async def test_forged_tokens_are_refused(admin: AdminClient) -> None:
    token = await admin.administrator_token()
    [kid] = await published_ids(admin)
    claims = claims_of(token)
    header = {"kid": kid, "typ": "at+jwt"}
    own_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    head, body, signature = token.split(".")
    reader = await admin.token(admin.credentials("query"))
    forged = {
        "no algorithm": jwt.encode(claims, "", "none", headers=header),
        "own key": jwt.encode(claims, own_key, "RS256", headers=header),
        "own key, own id": jwt.encode(claims, own_key, "RS256", headers={**header, "kid": "mine"}),
        "key id as secret": jwt.encode(claims, kid * 2, "HS256", headers=header),
        "no signature": f"{head}.{body}.",
        "wider claims": f"{reader.split('.')[0]}.{body}.{reader.split('.')[2]}",
        "cut": token[:-8],
        "nothing": "x",
    }

    for name, each in forged.items():
        answer = await admin.request("GET", ACCOUNTS, token=each)
        assert (answer.status, answer.problem) == (401, "unauthenticated"), name
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert (await admin.request("GET", ACCOUNTS, token=f"{head}.{body}.{signature}")).status == 200


async def test_an_expired_token_is_refused(admin: AdminClient) -> None:
    kid, encrypted = await stored_key(admin)
    private_key = MasterKey((admin.secrets / "master-key").read_bytes().strip()).decrypt(encrypted, kid=kid)
    past = datetime.now(UTC) - timedelta(hours=1)
    claims = claims_of(await admin.administrator_token()) | {"exp": past}

    token = jwt.encode(claims, private_key, "RS256", headers={"kid": kid, "typ": "at+jwt"})

    answer = await admin.request("GET", ACCOUNTS, token=token)
    assert answer.status == 401
    assert "expired" in answer.json()["detail"]


async def test_a_scope_that_is_missing_is_named(admin: AdminClient) -> None:
    token = await admin.token(admin.credentials("query"))

    answer = await admin.request("GET", ACCOUNTS, token=token)

    assert (answer.status, answer.problem) == (403, "forbidden")
    assert 'scope="accounts:read"' in answer.headers["WWW-Authenticate"]


async def test_a_clock_that_was_set_back_is_told(start: StartAdmin) -> None:
    async with start() as admin:
        tomorrow = int((datetime.now(UTC) + timedelta(days=1)).timestamp() * 1_000_000)
        await sql(admin, "UPDATE signing_keys SET signs_from = :tomorrow", {"tomorrow": tomorrow})

    async with start() as admin:
        answer = await admin.ask_token(admin.credentials())

        assert answer.status == 503
        assert "is the clock of admin right?" in answer.json()["detail"]
