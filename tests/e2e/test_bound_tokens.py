"""Tokens that are bound to a client certificate (RFC 8705), in a cluster with mutual TLS."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from tests.cluster import Answer, Cluster, request, running_cluster
from tests.services.admin.harness import claims_of

REQUESTS: Final = {
    "admin": ("GET", "/api/v1/files"),
    "element": ("GET", "/api/v1/files"),
    "ingester": ("POST", "/api/v1/files/upload"),
    "query": ("GET", "/api/v1/search?q=word"),
}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster in which everybody shows a certificate."""
    with running_cluster(tmp_path_factory.mktemp("secured") / "data", tls=True) as cluster:
        yield cluster


def token_of(secured: Cluster, *, client: str, **fields: object) -> dict[str, Any]:
    """A token of a new account, asked for with the certificate of ``client``."""
    body = {"name": f"bound {client} {fields}", "role": "OPERATOR", **fields}
    account = secured.request("admin", "POST", "/api/v1/service-accounts", json_body=body).json()
    asked = {name: account[name] for name in ("client_id", "client_secret")}
    answer = request(
        "POST",
        secured.url("admin", "/api/v1/auth/token"),
        body=json.dumps(asked).encode(),
        headers={"Content-Type": "application/json"},
        context=secured.ssl_context(client),
    )
    assert answer.status == 200, answer
    return {"token": answer.json()["access_token"], **asked}


def use(secured: Cluster, token: str, *, client: str) -> dict[str, Answer]:
    """What each role answers over a connection with the certificate of ``client``."""
    return {
        role: request(
            method,
            secured.url(role, path),
            headers={"Authorization": f"Bearer {token}"},
            context=secured.ssl_context(client),
        )
        for role, (method, path) in REQUESTS.items()
    }


def thumbprint(path: Path) -> str:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return base64.urlsafe_b64encode(certificate.fingerprint(SHA256())).decode().rstrip("=")


def test_a_bound_token_is_good_with_its_certificate_and_stolen_with_any_other(secured: Cluster) -> None:
    token = token_of(secured, client="administrator-client", has_bound_tokens=True)["token"]

    own = use(secured, token, client="administrator-client")
    stolen = use(secured, token, client="query-client")
    again = use(secured, token, client="administrator-client")

    certificate = secured.data / "certs" / "administrator-client.crt"
    assert claims_of(token)["cnf"] == {"x5t#S256": thumbprint(certificate)}
    assert not {401, 403} & {answer.status for answer in [*own.values(), *again.values()]}
    for role, answer in stolen.items():
        assert answer.status == 401, role
        assert "bound to a client certificate" in answer.json()["detail"]


def test_other_tokens_are_bound_to_nothing(secured: Cluster) -> None:
    token = token_of(secured, client="administrator-client")["token"]

    answers = use(secured, token, client="query-client")

    assert "cnf" not in claims_of(token)
    assert not {401, 403} & {answer.status for answer in answers.values()}


def test_introspection_and_metadata_tell_of_it(secured: Cluster) -> None:
    issued = token_of(secured, client="query-client", has_bound_tokens=True)
    context = secured.ssl_context()

    found = request(
        "POST",
        secured.url("admin", "/api/v1/auth/introspect"),
        body=json.dumps(issued).encode(),
        headers={"Content-Type": "application/json"},
        context=context,
    ).json()
    url = secured.url("admin", "/.well-known/oauth-authorization-server")
    metadata = request("GET", url, context=context).json()

    assert found["cnf"] == {"x5t#S256": thumbprint(secured.data / "certs" / "query-client.crt")}
    assert metadata["tls_client_certificate_bound_access_tokens"] is True
