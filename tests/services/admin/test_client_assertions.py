"""Clients that prove themselves with a key of their own (RFC 7523), and every way in which they do not."""

import time
import uuid
from typing import Any, Final

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from artstore.core.testing.issuer import joined
from tests.services.admin.conftest import StartAdmin
from tests.services.admin.harness import ACCOUNTS, TOKEN, AdminClient, sql
from tests.services.storage_element.harness import Answer

TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FILES: Final = "/api/v1/files"
RSA_KEY: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY: Final = ec.generate_private_key(ec.SECP256R1())
ED_KEY: Final = ed25519.Ed25519PrivateKey.generate()
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def public_jwk(key: PrivateKey, kid: str = "k1") -> dict[str, Any]:
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        return {**RSAAlgorithm.to_jwk(public, as_dict=True), "kid": kid}
    if isinstance(public, ec.EllipticCurvePublicKey):
        return {**ECAlgorithm.to_jwk(public, as_dict=True), "kid": kid}
    return {**OKPAlgorithm.to_jwk(public, as_dict=True), "kid": kid}


class Client:
    """An account with keys, and its private half."""

    def __init__(self, admin: AdminClient, account: dict[str, Any]) -> None:
        self.admin = admin
        self.account = account
        self.client_id = str(account["client_id"])

    @classmethod
    async def new(cls, admin: AdminClient, name: str = "signer", *keys: dict[str, Any]) -> "Client":
        jwks = {"keys": list(keys) or [public_jwk(RSA_KEY)]}
        return cls(admin, await admin.create_account(name, jwks=jwks))

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        said = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.admin.url + TOKEN,
            "jti": uuid.uuid4().hex,
            "iat": now,
            "exp": now + 60,
        }
        return {name: value for name, value in {**said, **changes}.items() if value is not None}

    def assertion(
        self, *, key: PrivateKey = RSA_KEY, algorithm: str = "RS256", kid: str | None = "k1", **changes: Any
    ) -> str:
        headers = {} if kid is None else {"kid": kid}
        return jwt.encode(self.claims(**changes), key, algorithm, headers=headers)

    async def ask(self, assertion: str, *, path: str = TOKEN, **form: str) -> Answer:
        sent = {
            "grant_type": "client_credentials",
            "client_assertion_type": TYPE,
            "client_assertion": assertion,
            **form,
        }
        return await self.admin.send("POST", path, data=sent)

    async def assert_refused(self, assertion: str) -> None:
        answer = await self.ask(assertion)
        assert (answer.status, answer.json()["error"]) == (401, "invalid_client"), answer
        assert answer.json()["error_description"] == "client authentication failed"


@pytest.fixture
async def client(admin: AdminClient) -> Client:
    return await Client.new(admin)


async def test_a_client_gets_a_token_for_its_signature(client: Client) -> None:
    answer = await client.ask(client.assertion(), client_id=client.client_id, scope="files:read")

    assert answer.status == 200, answer
    token = answer.json()["access_token"]
    assert (await client.admin.request("GET", FILES, token=token)).status == 200


async def test_keys_of_several_types_are_good(admin: AdminClient) -> None:
    metadata = (await admin.send("GET", "/.well-known/oauth-authorization-server")).json()
    keys: list[tuple[PrivateKey, str]] = [
        (RSA_KEY, "RS256"),
        (RSA_KEY, "PS256"),
        (EC_KEY, "ES256"),
        (ED_KEY, "EdDSA"),
    ]
    for key, algorithm in keys:
        client = await Client.new(admin, algorithm, public_jwk(key))

        assert (await client.ask(client.assertion(key=key, algorithm=algorithm))).status == 200, algorithm
        assert algorithm in metadata["token_endpoint_auth_signing_alg_values_supported"]
    assert "private_key_jwt" in metadata["token_endpoint_auth_methods_supported"]


async def test_the_issuer_is_a_good_audience_too(client: Client) -> None:
    assert (await client.ask(client.assertion(aud=[client.admin.url, "another"]))).status == 200


async def test_an_assertion_may_be_in_json(client: Client) -> None:
    body = {"client_assertion_type": TYPE, "client_assertion": client.assertion()}

    assert (await client.admin.send("POST", TOKEN, json=body)).status == 200


async def test_tokens_are_revoked_and_described_for_a_signature_too(client: Client) -> None:
    token = (await client.ask(client.assertion())).json()["access_token"]

    found = await client.ask(client.assertion(), path="/api/v1/auth/introspect", token=token)
    revoked = await client.ask(client.assertion(), path="/api/v1/auth/revoke", token=token)

    assert found.json()["active"] is True
    assert revoked.status == 200
    assert (await client.admin.request("GET", FILES, token=token)).status == 401


async def test_an_assertion_is_good_once(start: StartAdmin) -> None:
    async with start() as admin:
        client = await Client.new(admin)
        assertion = client.assertion()
        assert (await client.ask(assertion)).status == 200

        await client.assert_refused(assertion)
    async with start() as admin:
        again = Client(admin, client.account)
        await again.assert_refused(assertion)
        assert (await again.ask(again.assertion())).status == 200


async def test_used_assertions_are_forgotten_when_they_have_expired(client: Client) -> None:
    await client.ask(client.assertion())
    await sql(client.admin, "UPDATE used_assertions SET expires_at = 1")

    await client.ask(client.assertion())

    assert await sql(client.admin, "SELECT COUNT(*) FROM used_assertions") == [(1,)]


WRONG: Final[dict[str, dict[str, Any]]] = {
    "expired": {"exp": int(time.time()) - 60},
    "good for too long": {"exp": int(time.time()) + 86_400},
    "without an end": {"exp": None},
    "with an end that never comes": {"exp": float("inf")},
    "not valid yet": {"nbf": int(time.time()) + 3600},
    "issued in the future": {"iat": int(time.time()) + 3600},
    "for another server": {"aud": "https://another.example/token"},
    "for nobody": {"aud": None},
    "of another issuer": {"iss": "sa_dev_other_00000000"},
    "without an issuer": {"iss": None},
    "without an id": {"jti": None},
    "with an empty id": {"jti": ""},
    "with an endless id": {"jti": "x" * 300},
    "under an unknown key": {"kid": "k2"},
    "under no key": {"kid": None},
    "under another key": {"key": rsa.generate_private_key(public_exponent=65537, key_size=2048)},
    "with another algorithm": {"algorithm": "RS512"},
}


async def test_an_assertion_that_proves_nothing(start: StartAdmin) -> None:
    async with start(server={"rate_limits": {"failures": 0}}) as admin:
        client = await Client.new(admin)
        for case, changes in WRONG.items():
            answer = await client.ask(client.assertion(**changes))
            assert (answer.status, answer.json()["error"]) == (401, "invalid_client"), case


async def test_an_assertion_that_is_forged(client: Client) -> None:
    header, claims = {"alg": "none", "kid": "k1"}, client.claims()
    pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    await client.assert_refused(joined(header, claims))
    await client.assert_refused(joined({**header, "alg": "HS256"}, claims, signing_secret=pem))
    nobody = joined(header, {"sub": "\ud800"})  # which JSON can spell, and UTF-8 cannot
    endless = f"e30.{'W1tb' * 1300}.AA"  # of "[[["
    for garbage in ("", "x", "a.b.c", "é", "\0", "x" * 9000, nobody, endless):
        answer = await client.ask(garbage)
        assert answer.status in (400, 401), garbage


async def test_the_key_of_one_client_proves_no_other(admin: AdminClient) -> None:
    one = await Client.new(admin, "one", public_jwk(RSA_KEY))
    other = await Client.new(admin, "other", public_jwk(EC_KEY))

    forged = one.assertion(key=EC_KEY, algorithm="ES256", sub=one.client_id, iss=one.client_id)
    mixed = one.assertion(key=EC_KEY, algorithm="ES256", iss=other.client_id)

    await one.assert_refused(forged)
    await one.assert_refused(mixed)


async def test_an_account_without_keys_needs_its_secret(admin: AdminClient) -> None:
    client = Client(admin, await admin.create_account("plain"))

    await client.assert_refused(client.assertion())


async def test_a_suspended_client_signs_in_vain(client: Client) -> None:
    await client.admin.request("POST", f"{ACCOUNTS}/{client.account['id']}/suspend")

    await client.assert_refused(client.assertion())


async def test_a_key_that_was_taken_away_is_no_proof_any_more(client: Client) -> None:
    path = f"{ACCOUNTS}/{client.account['id']}"
    changed = await client.admin.request("PATCH", path, json={"jwks": {"keys": [public_jwk(EC_KEY, "k2")]}})

    assert changed.json()["jwks"]["keys"][0]["kid"] == "k2"
    await client.assert_refused(client.assertion())
    new = client.assertion(key=EC_KEY, algorithm="ES256", kid="k2")
    assert (await client.ask(new)).status == 200
    without = await client.admin.request("PATCH", path, json={"jwks": None})
    assert "jwks" not in without.json()


async def test_an_assertion_and_a_secret_are_one_proof_too_many(client: Client) -> None:
    both = await client.ask(client.assertion(), client_secret=client.account["client_secret"])
    another = await client.ask(client.assertion(), client_id="sa_dev_other_00000000")
    wrong_type = await client.ask(client.assertion(), client_assertion_type="urn:example:saml2")

    for answer in (both, another, wrong_type):
        assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


BAD_KEYS: Final[dict[str, dict[str, Any]]] = {
    "private": {**RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True), "kid": "k1"},
    "symmetric": {"kty": "oct", "k": "AAAA", "kid": "k1"},
    "without a name": {name: value for name, value in public_jwk(RSA_KEY).items() if name != "kid"},
    "too weak": public_jwk(rsa.generate_private_key(public_exponent=65537, key_size=1024)),
    "of another curve": public_jwk(ec.generate_private_key(ec.SECP384R1())),
    "for encryption": {**public_jwk(RSA_KEY), "use": "enc"},
    "cut": {"kty": "RSA", "n": "AAAA", "kid": "k1"},
    "of no type": {"kid": "k1"},
}


async def test_a_key_that_is_none_cannot_be_registered(admin: AdminClient) -> None:
    for case, key in BAD_KEYS.items():
        body = {"name": "signer", "role": "USER", "jwks": {"keys": [key]}}

        answer = await admin.request("POST", ACCOUNTS, json=body)

        assert (answer.status, answer.problem) == (400, "invalid-request"), case
        assert [error["path"] for error in answer.json()["errors"]] == ["jwks.keys"], case
        secret = [str(value) for value in key.values() if len(str(value)) > 9]
        assert not [value for value in secret if value in answer.body.decode()], case


async def test_two_keys_of_one_name_cannot_be_registered(admin: AdminClient) -> None:
    keys = [public_jwk(RSA_KEY), public_jwk(EC_KEY)]

    answer = await admin.request("POST", ACCOUNTS, json={"name": "x", "role": "USER", "jwks": {"keys": keys}})

    assert answer.status == 400
