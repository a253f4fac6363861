"""An issuer of access tokens for tests: real keys, real signatures, served over real HTTP."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from yarl import URL

from artstore.core.testing.listening import LoopbackServer

HOUR: Final = 3600
"""Seconds."""

JWKS_PATH: Final = "/.well-known/jwks.json"


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """The RSA key called ``name``: made once per process, because making one is slow."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk(kid: str, key: rsa.RSAPrivateKey) -> dict[str, Any]:
    """The public part of ``key`` as an issuer publishes it (RFC 7517)."""
    numbers = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {"kid": kid, "use": "sig", "alg": "RS256", "kty": "RSA", "n": numbers["n"], "e": numbers["e"]}


class TokenMint:
    """An issuer for tests: real keys, real signatures, any claims.

    Call it for a token; keyword arguments replace claims of a valid access token. The authenticator
    under test must trust ``issuer``, ``audience`` and ``key_set``.
    """

    issuer = "https://issuer.example"
    audience = "artstore"
    kid = "key-1"

    @property
    def key(self) -> rsa.RSAPrivateKey:
        """What tokens are signed with."""
        return rsa_key(self.kid)

    @property
    def key_set(self) -> dict[str, Any]:
        """The JWK set that verifies them."""
        return {"keys": [jwk(self.kid, self.key)]}

    def claims(self, **replaced: Any) -> dict[str, Any]:
        """The claims of a valid access token, valid for an hour, but for those ``replaced``."""
        now = int(time.time())
        return {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": "sa_test_ingester_0a1b2c3d",
            "client_id": "sa_test_ingester_0a1b2c3d",
            "scope": "files:read files:write",
            "name": "ingester",
            "type": "service_account",
            "token_use": "access",
            "jti": str(uuid.uuid4()),
            "iat": now,
            "nbf": now,
            "exp": now + HOUR,
        } | replaced

    def __call__(
        self,
        *,
        header: Mapping[str, Any] | None = None,
        key: rsa.RSAPrivateKey | None = None,
        without: Collection[str] = (),
        **replaced: Any,
    ) -> str:
        """A signed token.

        Args:
            header: Members of the JOSE header to add or replace.
            key: What to sign with instead of the issuer's key.
            without: Claims to leave out.
            replaced: Claims to add or replace.

        """
        claims = {name: value for name, value in self.claims(**replaced).items() if name not in without}
        headers = {"kid": self.kid, "typ": "at+jwt"} | dict(header or {})
        # Below the level at which the library keeps an issuer from writing nonsense.
        return jwt.PyJWS().encode(json.dumps(claims).encode(), key or self.key, "RS256", headers)


def joined(
    header: Mapping[str, Any], claims: Mapping[str, Any], *, signing_secret: bytes | None = None
) -> str:
    """A token put together by hand, as an attacker does: HS256 under ``signing_secret``, or unsigned."""
    signed = f"{base64url(json.dumps(header).encode())}.{base64url(json.dumps(claims).encode())}"
    signature = b""
    if signing_secret is not None:
        signature = hmac.digest(signing_secret, signed.encode(), hashlib.sha256)
    return f"{signed}.{base64url(signature)}"


class IssuerServer:
    """Publishes the keys of a mint on a loopback port, and misbehaves on request.

    ``published`` are the keys, as JSON; ``headers`` go with them; ``fetches`` counts the requests.
    """

    def __init__(self, mint: TokenMint) -> None:
        self.published: list[Any] = mint.key_set["keys"]
        self.headers: dict[str, str] = {}
        self.fetches = 0
        self._answer: Callable[[], Awaitable[web.Response]] = self._key_set
        self._server = self._listener(port=None)
        self._address = URL()

    @property
    def jwks_url(self) -> str:
        """Where the keys are, once it has started."""
        return str(self._address)

    def publish(self, *kids: str) -> None:
        """Publish the keys called ``kids`` and no others."""
        self.published = [jwk(kid, rsa_key(kid)) for kid in kids]

    def says(self, body: bytes, *, status: int = 200) -> None:
        """Answer with ``body`` from now on."""

        async def answer() -> web.Response:
            return web.Response(body=body, status=status, headers=self.headers)

        self._answer = answer

    def hangs(self) -> None:
        """Keep every request waiting from now on."""
        self._answer = asyncio.Future[web.Response]

    def recovers(self) -> None:
        """Answer with the published keys from now on."""
        self._answer = self._key_set

    async def start(self) -> None:
        """Listen, on the same port as before."""
        await self._server.start_server()
        self._address = self._server.make_url(JWKS_PATH)

    async def stop(self) -> None:
        """Refuse connections."""
        await self._server.close()
        self._server = self._listener(port=self._address.port)

    def _listener(self, *, port: int | None) -> LoopbackServer:
        application = web.Application()
        application.router.add_get(JWKS_PATH, self._handle)
        return LoopbackServer(application, port=port)

    async def _handle(self, request: web.Request) -> web.Response:
        self.fetches += 1
        return await self._answer()

    async def _key_set(self) -> web.Response:
        return web.json_response({"keys": self.published}, headers=self.headers)


@asynccontextmanager
async def issuer_server(mint: TokenMint) -> AsyncGenerator[IssuerServer, None]:
    """A running issuer that publishes the keys of ``mint``."""
    issuer = IssuerServer(mint)
    await issuer.start()
    try:
        yield issuer
    finally:
        await issuer.stop()


def base64url(data: bytes) -> str:
    """``data`` as JOSE writes it: URL-safe and without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
