"""What an attacker can put together, and what only the thief of a key can: tokens for attacks."""

import json
import sqlite3
import time
import uuid
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from artstore.core.testing.issuer import joined
from artstore.services.admin.master_key import MasterKey
from tests.cluster import Answer, Cluster, request
from tests.services.admin.harness import claims_of

PROTECTED: Final = {
    "admin": ("GET", "/api/v1/files"),
    "element": ("GET", "/api/v1/files"),
    "ingester": ("POST", "/api/v1/files/upload"),
    "query": ("GET", "/api/v1/search?q=word"),
}


class Attacker:
    """Tries tokens on all four roles. Has seen one genuine token, and everything that is public."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.genuine = cluster.token()
        self.claims = claims_of(self.genuine)
        self.header = claims_of(self.genuine, part=0)
        self.own_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def kid(self) -> str:
        return str(self.header["kid"])

    def key_set(self) -> dict[str, Any]:
        """What the issuer publishes."""
        answer = request("GET", self.cluster.url("admin", "/.well-known/jwks.json"))
        found: dict[str, Any] = answer.json()
        return found

    def published_key(self) -> rsa.RSAPublicKey:
        key = jwt.PyJWKSet.from_dict(self.key_set())[self.kid].key
        assert isinstance(key, rsa.RSAPublicKey)
        return key

    def stolen_key(self) -> rsa.RSAPrivateKey:
        """What only somebody has who has the master key and the database: to sign what admin never would."""
        with closing(sqlite3.connect(self.cluster.data / "index.db")) as database:
            [(encrypted,)] = database.execute(
                "SELECT private_key_encrypted FROM signing_keys WHERE kid = ?", [self.kid]
            ).fetchall()
        master = (self.cluster.data / "secrets" / "master-key").read_bytes().strip()
        return MasterKey(master).decrypt(encrypted, kid=self.kid)

    def signed(
        self,
        *,
        header: Mapping[str, Any] | None = None,
        without: str | None = None,
        algorithm: str = "RS256",
        key: rsa.RSAPrivateKey | None = None,
        **claims: Any,
    ) -> str:
        """A token signed with the genuine key, unless ``key`` is another; the claims are those of the
        genuine token, with a new id, but for ``claims``, and without the one that is named.
        """
        said = {**self.claims, "jti": uuid.uuid4().hex, **claims}
        said.pop(without or "", None)
        headers = {"kid": self.kid, "typ": "at+jwt", **(header or {})}
        payload = json.dumps(said).encode()
        return jwt.PyJWS().encode(payload, key or self.stolen_key(), algorithm, headers)

    def joined(self, header: Mapping[str, Any], *, secret: bytes | None = None) -> str:
        """The genuine claims under a header of the attacker's, unsigned or with an HMAC."""
        return joined({"typ": "at+jwt", "kid": self.kid, **header}, self.claims, signing_secret=secret)

    def tried(self, token: str) -> dict[str, Answer]:
        """What each role answers."""
        headers = {"Authorization": f"Bearer {token}"}
        return {
            role: request(method, self.cluster.url(role, path), headers=headers)
            for role, (method, path) in PROTECTED.items()
        }

    def assert_refused(self, token: str) -> None:
        """By every role, in the way of RFC 6750, and without a word that would help."""
        for role, answer in self.tried(token).items():
            assert answer.status == 401, (role, answer)
            assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"], role
            assert answer.headers["Content-Type"] == "application/problem+json", role

    def assert_admitted(self, token: str) -> None:
        """Or the attack would have been refused for another reason than it should."""
        for role, answer in self.tried(token).items():
            assert answer.status not in (401, 403, 503), (role, answer)

    def is_refused(self, token: str) -> bool:
        return all(answer.status == 401 for answer in self.tried(token).values())

    def assert_soon_refused(self, token: str) -> None:
        """Within moments."""
        deadline = time.monotonic() + 5
        while not self.is_refused(token):
            assert time.monotonic() < deadline, "the token is still let in"
        self.assert_refused(token)


class Trap:
    """A server of the attacker's, which sees who fetches from it."""

    def __init__(self, server: HTTPServer, fetched: list[str]) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}/keys"
        self.fetched = fetched


@contextmanager
def trap(body: bytes) -> Generator[Trap, None, None]:
    """Answers every request with ``body``."""
    fetched: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fetched.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Be quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Trap(server, fetched)
        finally:
            server.shutdown()
            thread.join()
