"""Attacks on access tokens, over HTTP, on all four roles. Each test is one attack that must fail."""

import base64
import http.client
import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from artstore.core.testing.issuer import joined, jwk, rsa_key
from artstore.services.admin.client_requests import ASSERTION_TYPE
from tests.attacks.forging import Attacker, trap
from tests.cluster import Answer, request
from tests.services.admin.test_client_assertions import PrivateKey, public_jwk

TOKEN: Final = "/api/v1/auth/token"
KEYS: Final[dict[str, tuple[PrivateKey, PrivateKey]]] = {
    "ES256": (ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())),
    "RS256": (rsa_key("client"), rsa_key("attacker")),
}
"""Of a client, and of somebody who has another."""


def test_what_the_attacks_start_from_is_let_in(attacker: Attacker) -> None:
    attacker.assert_admitted(attacker.genuine)
    attacker.assert_admitted(attacker.signed())


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
def test_no_algorithm(attacker: Attacker, name: str) -> None:
    attacker.assert_refused(attacker.joined({"alg": name}))


@pytest.mark.parametrize("part", [None, 0, {"name": "RS256"}, ["RS256"]])
def test_an_algorithm_that_is_no_name(attacker: Attacker, part: object) -> None:
    attacker.assert_refused(attacker.joined({"alg": part}))


PUBLIC_FORMS: Final[dict[str, Callable[[RSAPublicKey], bytes]]] = {
    "PEM": lambda key: key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "PEM without its last line feed": lambda key: key.public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    ).rstrip(),
    "PKCS 1": lambda key: key.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
    "DER": lambda key: key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "modulus": lambda key: key.public_numbers().n.to_bytes(256, "big"),
}


@pytest.mark.parametrize("form", PUBLIC_FORMS)
def test_the_public_key_as_the_secret_of_an_hmac(attacker: Attacker, form: str) -> None:
    secret = PUBLIC_FORMS[form](attacker.published_key())

    attacker.assert_refused(attacker.joined({"alg": "HS256"}, secret=secret))


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_another_algorithm_under_the_genuine_key(attacker: Attacker, algorithm: str) -> None:
    attacker.assert_refused(attacker.signed(algorithm=algorithm))


def test_another_key_under_the_genuine_key_id(attacker: Attacker) -> None:
    attacker.assert_refused(attacker.signed(key=attacker.own_key))


def test_a_key_that_the_token_brings_along(attacker: Attacker) -> None:
    for kid in (attacker.kid, "mine"):
        header = {"kid": kid, "jwk": jwk(kid, attacker.own_key)}

        attacker.assert_refused(attacker.signed(header=header, key=attacker.own_key))


@pytest.mark.parametrize("member", ["jku", "x5u"])
def test_a_place_that_the_token_names_is_not_looked_at(attacker: Attacker, member: str) -> None:
    keys = json.dumps({"keys": [jwk("mine", attacker.own_key)]}).encode()
    with trap(keys) as place:
        for kid in (attacker.kid, "mine"):
            header = {"kid": kid, member: place.url}

            attacker.assert_refused(attacker.signed(header=header, key=attacker.own_key))

        assert place.fetched == []


def test_a_certificate_that_the_token_brings_along(attacker: Attacker) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "admin")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, attacker.own_key.public_key(), 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(attacker.own_key, SHA256())
    )
    chain = [base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()]

    attacker.assert_refused(attacker.signed(header={"x5c": chain}, key=attacker.own_key))


KEY_IDS: Final[dict[str, Any]] = {
    "a path": "../../../../dev/null",
    "a device": "/dev/null",
    "a file of the cluster": "../secrets/master-key",
    "SQL": "x' UNION SELECT 'AA' --",
    "a URL": "http://127.0.0.1:1/keys",
    "a command": "$(id)",
    "a zero byte": "a\0b",
    "very long": "k" * 4000,
    "a number": 1,
    "an object": {"kid": 1},
    "nothing": None,
    "empty": "",
}


@pytest.mark.parametrize("trick", KEY_IDS)
def test_a_key_id_that_leads_elsewhere(attacker: Attacker, trick: str) -> None:
    header = {"kid": KEY_IDS[trick]}

    attacker.assert_refused(attacker.joined({"alg": "HS256", **header}, secret=b""))
    attacker.assert_refused(joined({"alg": "RS256", "typ": "at+jwt", **header}, attacker.claims))


def test_an_unknown_key_id_makes_nobody_fetch_keys_all_the_time(attacker: Attacker) -> None:
    def fetches() -> float:
        text = request("GET", attacker.cluster.url("query", "/metrics")).body.decode()
        name = 'artstore_plugin_auth_oauth_jwks_fetches_total{outcome="success"}'
        return float(next(line for line in text.splitlines() if line.startswith(name)).split()[-1])

    attacker.assert_admitted(attacker.genuine)
    before = fetches()
    for number in range(20):
        attacker.assert_refused(attacker.joined({"alg": "RS256", "kid": f"unknown-{number}"}))

    assert fetches() - before <= 2


BROKEN: Final[dict[str, Callable[[str], str]]] = {
    "no signature": lambda token: token.rpartition(".")[0] + ".",
    "two parts": lambda token: token.rpartition(".")[0],
    "five parts": lambda token: f"{token}.a.b",
    "a cut signature": lambda token: token[:-10],
    "another letter in the signature": lambda token: (
        f"{token[:-20]}{'A' if token[-20] != 'A' else 'B'}{token[-19:]}"
    ),
    "padding": lambda token: f"{token}==",
    "nothing but dots": lambda token: "..",
    "a header of brackets without end": lambda token: f"{'W1tb' * 1300}.e30.AA",  # "[[["
    "too long": lambda token: f"{token}{'A' * 9000}"[:7900],
}


@pytest.mark.parametrize("damage", BROKEN)
def test_a_token_that_is_not_whole(attacker: Attacker, damage: str) -> None:
    attacker.assert_refused(BROKEN[damage](attacker.genuine))


def test_claims_of_one_token_under_the_signature_of_another(attacker: Attacker) -> None:
    head, body, _ = attacker.genuine.split(".")
    weak = token_of(attacker, new_account(attacker, "weak"))

    attacker.assert_refused(f"{head}.{body}.{weak.split('.')[2]}")


def test_widened_claims_under_the_old_signature(attacker: Attacker) -> None:
    head, _, signature = token_of(attacker, new_account(attacker, "wide")).split(".")
    claims = {**attacker.claims, "scope": f"{attacker.claims['scope']} storage:finalize"}
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")

    attacker.assert_refused(f"{head}.{body}.{signature}")


def test_an_expired_token(attacker: Attacker) -> None:
    past = int(time.time()) - 3600

    attacker.assert_refused(attacker.signed(iat=past - 1800, nbf=past - 1800, exp=past))


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_of_the_future(attacker: Attacker, claim: str) -> None:
    later: dict[str, Any] = {claim: int(time.time()) + 3600}

    attacker.assert_refused(attacker.signed(**later))


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat", "aud", "iss", "jti", "sub", "client_id", "token_use"])
def test_a_token_that_does_not_say_what_it_must(attacker: Attacker, claim: str) -> None:
    attacker.assert_refused(attacker.signed(without=claim))


@pytest.mark.parametrize("value", ["9999999999", None, -1, 1e300, float("inf"), [9999999999]])
def test_an_end_that_is_no_time(attacker: Attacker, value: object) -> None:
    attacker.assert_refused(attacker.signed(exp=value))


@pytest.mark.parametrize(
    "audience", ["another", "artstore2", "ARTSTORE", "", [], ["another"], None, {"artstore": 1}]
)
def test_a_token_for_another_audience(attacker: Attacker, audience: object) -> None:
    attacker.assert_refused(attacker.signed(aud=audience))


def test_a_token_of_another_issuer(attacker: Attacker) -> None:
    own = str(attacker.claims["iss"])

    for issuer in (f"{own}/", own.replace("127.0.0.1", "localhost"), "https://evil.example"):
        attacker.assert_refused(attacker.signed(iss=issuer))


@pytest.mark.parametrize("use", ["refresh", "id", "", None, ["access"]])
def test_a_token_for_another_use_as_an_access_token(attacker: Attacker, use: object) -> None:
    attacker.assert_refused(attacker.signed(token_use=use))


@pytest.mark.parametrize("kind", ["JWT", "jwt", "rt+jwt", "dpop+jwt", "logout+jwt", "secevent+jwt", ""])
def test_a_jwt_of_another_type(attacker: Attacker, kind: str) -> None:
    attacker.assert_refused(attacker.signed(header={"typ": kind}))


def test_a_header_that_must_be_understood_and_is_not(attacker: Attacker) -> None:
    attacker.assert_refused(attacker.signed(header={"crit": ["exp"], "exp": 1}))


@pytest.mark.parametrize("kind", ["root", "ADMIN", None, "admin"])
def test_a_kind_of_principal_that_there_is_not(attacker: Attacker, kind: object) -> None:
    attacker.assert_refused(attacker.signed(type=kind))


@pytest.mark.parametrize("scope", [["files:read"], {"files:read": True}, None, 1])
def test_scopes_of_another_form(attacker: Attacker, scope: object) -> None:
    attacker.assert_refused(attacker.signed(scope=scope))


@pytest.mark.parametrize(
    "scope", ["*", "files:*", "FILES:READ", "files:read,files:write", "admin", "files:readx"]
)
def test_scopes_that_only_look_like_some(attacker: Attacker, scope: str) -> None:
    """Not even the thief of the key gets in with a scope that there is not."""
    answers = attacker.tried(attacker.signed(scope=scope))

    assert {answer.status for answer in answers.values()} == {403}


def new_account(attacker: Attacker, name: str, **fields: object) -> dict[str, Any]:
    body = {"name": f"{name}-{time.monotonic_ns()}", "role": "READONLY", **fields}
    answer = attacker.cluster.request("admin", "POST", "/api/v1/service-accounts", json_body=body)
    assert answer.status == 201, answer
    account: dict[str, Any] = answer.json()
    return account


def asked(attacker: Attacker, account: dict[str, Any], *, path: str = TOKEN, **parameters: str) -> Answer:
    body = {name: account[name] for name in ("client_id", "client_secret")} | parameters
    headers = {"Content-Type": "application/json"}
    return request(
        "POST", attacker.cluster.url("admin", path), body=json.dumps(body).encode(), headers=headers
    )


def token_of(attacker: Attacker, account: dict[str, Any]) -> str:
    answer = asked(attacker, account)
    assert answer.status == 200, answer
    return str(answer.json()["access_token"])


@pytest.mark.parametrize(
    "wanted", ["files:delete", "files:read files:write", "files:read accounts:write", "*", "storage:finalize"]
)
def test_asking_for_a_scope_that_the_account_does_not_have(attacker: Attacker, wanted: str) -> None:
    answer = asked(attacker, new_account(attacker, "asks"), scope=wanted)

    assert (answer.status, answer.json()["error"]) == (400, "invalid_scope")


def test_a_name_that_tries_to_be_a_claim(attacker: Attacker) -> None:
    account = new_account(attacker, 'x","scope":"files:delete","y":"')

    token = token_of(attacker, account)

    assert jwt.decode(token, options={"verify_signature": False})["scope"] == "files:read"


ALL: Final = ["files:read", "files:write", "storage:read"]


def test_a_token_that_was_revoked(attacker: Attacker) -> None:
    account = new_account(attacker, "revoked", scopes=ALL)
    token = token_of(attacker, account)
    attacker.assert_admitted(token)

    assert asked(attacker, account, path="/api/v1/auth/revoke", token=token).status == 200

    attacker.assert_soon_refused(token)


def test_a_token_of_another_client_cannot_be_revoked(attacker: Attacker) -> None:
    account, stranger = (new_account(attacker, name, scopes=ALL) for name in ("owner", "stranger"))
    token = token_of(attacker, account)

    assert asked(attacker, stranger, path="/api/v1/auth/revoke", token=token).status == 400

    attacker.assert_admitted(token)


def test_a_stranger_learns_nothing_of_a_token(attacker: Attacker) -> None:
    account, stranger = (new_account(attacker, name, scopes=ALL) for name in ("holder", "curious"))
    token = token_of(attacker, account)

    answer = asked(attacker, stranger, path="/api/v1/auth/introspect", token=token)

    assert answer.json() == {"active": False}


@pytest.mark.parametrize(
    ("method", "suffix"), [("POST", "/suspend"), ("DELETE", ""), ("POST", "/revoke-tokens")]
)
def test_a_token_of_an_account_that_was_ended(attacker: Attacker, method: str, suffix: str) -> None:
    account = new_account(attacker, "ended", scopes=ALL)
    token = token_of(attacker, account)
    attacker.assert_admitted(token)

    path = f"/api/v1/service-accounts/{account['id']}{suffix}"
    assert attacker.cluster.request("admin", method, path).status in (200, 204)

    attacker.assert_soon_refused(token)


@pytest.mark.parametrize("name", ["access_token", "token", "bearer"])
def test_a_token_in_the_address(attacker: Attacker, name: str) -> None:
    url = attacker.cluster.url("admin", f"/api/v1/files?{name}={attacker.genuine}")

    assert request("GET", url).status == 401


@pytest.mark.parametrize("scheme", ["Basic", "Token", "JWT", "Bearer Bearer", "DPoP", ""])
def test_a_token_under_another_scheme(attacker: Attacker, scheme: str) -> None:
    url = attacker.cluster.url("admin", "/api/v1/files")

    assert request("GET", url, headers={"Authorization": f"{scheme} {attacker.genuine}"}).status == 401


def test_clients_are_not_told_apart_by_what_is_answered(attacker: Attacker) -> None:
    suspended, deleted, known = (new_account(attacker, name) for name in ("suspended", "deleted", "known"))
    path = "/api/v1/service-accounts/"
    attacker.cluster.request("admin", "POST", f"{path}{suspended['id']}/suspend")
    attacker.cluster.request("admin", "DELETE", f"{path}{deleted['id']}")
    unknown = {"client_id": "sa_dev_nobody_00000000", "client_secret": known["client_secret"]}
    wrong = {"client_id": known["client_id"], "client_secret": unknown["client_secret"][:-1]}

    answers = [asked(attacker, each) for each in (suspended, deleted, unknown, wrong)]

    assert {answer.status for answer in answers} == {401}
    assert len({answer.body for answer in answers}) == 1
    changing = {"Date", "X-Request-ID"}
    headers = [
        {name: answer.headers[name] for name in answer.headers if name not in changing} for answer in answers
    ]
    assert all(each == headers[0] for each in headers)


def test_clients_are_not_told_apart_by_how_long_an_answer_takes(attacker: Attacker) -> None:
    """Measured, interleaved: how often an answer to one takes longer than to the other is a matter of chance.

    The share is 0.5 where nothing can be learnt; chance alone moves it by 0.1 once in 100 000 times. It was
    0.65 when only a client that exists was made of a row. Five measurements, of which the middle one counts.
    """
    known = new_account(attacker, "timed")
    wrong = {"client_id": known["client_id"], "client_secret": "ars_" + "x" * 43}
    unknown = {"client_id": "sa_dev_timed_00000000", "client_secret": "ars_" + "x" * 43}

    assert_not_told_apart_by_time(attacker, wrong, unknown)


@pytest.mark.parametrize("algorithm", KEYS)
def test_clients_with_keys_are_not_told_apart_by_how_long_an_answer_takes(
    attacker: Attacker, algorithm: str
) -> None:
    """As those with secrets. It was 0.9 when signatures were verified only where the client exists."""
    key, forging = KEYS[algorithm]
    known = str(new_account(attacker, "keyed", jwks={"keys": [public_jwk(key)]})["client_id"])
    unknown = known[:-8] + "00000000"
    one, other = (
        jwt.encode({"iss": each, "sub": each}, forging, algorithm, headers={"kid": "k1"})
        for each in (known, unknown)
    )

    assert_not_told_apart_by_time(attacker, by_assertion(one), by_assertion(other))


def by_assertion(assertion: str) -> dict[str, str]:
    """The body in which a client proves itself so."""
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}


def assert_not_told_apart_by_time(attacker: Attacker, one: dict[str, str], other: dict[str, str]) -> None:
    shares = [share_of_longer(attacker, one, other, pairs=200) for _ in range(5)]

    assert abs(statistics.median(shares) - 0.5) < 0.1, shares


def share_of_longer(attacker: Attacker, one: dict[str, str], other: dict[str, str], *, pairs: int) -> float:
    """Of all answers to ``one`` and ``other``, how often the former takes longer (Mann-Whitney)."""
    connection = http.client.HTTPConnection("127.0.0.1", attacker.cluster.base_port)
    bodies = [json.dumps({"grant_type": "client_credentials", **each}) for each in (one, other)]
    times: list[list[float]] = [[], []]
    for number in range(pairs + 10):
        for which in (0, 1) if number % 2 else (1, 0):
            started = time.perf_counter()
            connection.request("POST", TOKEN, bodies[which], {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            took = time.perf_counter() - started
            assert response.status == 401
            if number >= 10:
                times[which].append(took)
    connection.close()
    ones, others = times
    longer = sum((a > b) + (a == b) / 2 for a in ones for b in others)
    return longer / (len(ones) * len(others))
