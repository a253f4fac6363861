"""Verifies access tokens: RS256 JWTs of one issuer (RFC 9068), each of them once."""

import re
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artstore.core.spec import (
    Authenticator,
    Credentials,
    PluginContext,
    Principal,
    PrincipalKind,
    UnauthenticatedError,
)
from artstore.plugins.auth_oauth.keys import IssuerKeys
from artstore.plugins.auth_oauth.plugin import OAuthConfig

LONGEST_TOKEN: Final = 8192
"""Characters; more than an HTTP server lets through in one header."""

COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
"""Base64url without padding (RFC 7515 section 7.1). Decoders let more pass: a token would have many forms."""

NOT_VALID: Final = "the access token is not valid; request a new one"
WRONG_KIND: Final = "the token is not an access token; request one from the token endpoint"
REFUSALS: Final[Mapping[type[jwt.PyJWTError], str]] = {
    jwt.ExpiredSignatureError: "the access token has expired; request a new one",
    jwt.ImmatureSignatureError: "the access token is not valid yet; compare the clocks of the machines",
    jwt.InvalidAudienceError: "the access token is for another audience; request one for this service",
    jwt.InvalidIssuerError: "the access token is from another issuer; request one from this cluster's",
}

_Text = Annotated[str, Field(min_length=1)]
_Time = Annotated[float, Field(ge=0, lt=datetime.max.replace(tzinfo=UTC).timestamp())]


class Confirmation(BaseModel):
    """What a token is bound to (RFC 7800). Any other binding cannot be checked: such a token is refused."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    x5t_s256: Annotated[_Text, Field(alias="x5t#S256")]


class AccessTokenClaims(BaseModel):
    """The claims that make a principal, as the issuer must write them."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    sub: _Text
    client_id: _Text
    jti: _Text
    name: str
    scope: str
    type: PrincipalKind
    token_use: Literal["access"]
    iat: _Time
    exp: _Time
    cnf: Confirmation | None = None
    rate_limit: Annotated[int | None, Field(ge=1)] = None


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What a token proved, and until when that needs no second look, by a clock that nobody can set: were
    the time of day set back, an expired token would be believed for as long again. ``thumbprint`` is that
    of the one certificate whose holder it is for.
    """

    principal: Principal
    until: float
    thumbprint: str | None = None


@asynccontextmanager
async def open_authenticator(
    config: OAuthConfig, context: PluginContext
) -> AsyncGenerator[Authenticator, None]:
    """An authenticator that asks nothing of the issuer before the first token comes.

    So the roles of a cluster start in any order.
    """
    connector = aiohttp.TCPConnector(ssl=context.client_ssl_context())
    async with aiohttp.ClientSession(connector=connector) as session:
        keys = IssuerKeys(config, context, session)
        try:
            yield OAuthAuthenticator(config, keys)
        finally:
            await keys.close()


class OAuthAuthenticator(Authenticator):
    """Verifies each token once, then remembers it for as long as it and the issuer's keys last."""

    # Instead of a dictionary, in which tools that show variables would find the tokens.
    __slots__ = ("_config", "_keys", "_verified")

    def __init__(self, config: OAuthConfig, keys: IssuerKeys) -> None:
        self._config = config
        self._keys = keys
        # An ordered one: finding the oldest entry of a plain dict takes longer the more were removed.
        self._verified: OrderedDict[str, VerifiedToken] = OrderedDict()

    async def authenticate(self, credentials: Credentials) -> Principal:
        token = credentials.bearer_token
        if token is None:
            raise UnauthenticatedError("no access token was sent; send it as 'Authorization: Bearer <token>'")
        verified = self._verified.get(token)
        if verified is None or time.monotonic() >= verified.until:
            verified = await self._verify(token)
        # Of every request: the same token may come over another connection.
        if verified.thumbprint not in (None, credentials.certificate_thumbprint):
            raise UnauthenticatedError(
                "the access token is bound to a client certificate: send it over a connection with that one"
            )
        return verified.principal

    async def _verify(self, token: str) -> VerifiedToken:
        self._verified.pop(token, None)
        kid = _key_id(token)
        claims = _access_token_claims(self._signed_claims(token, await self._keys.find(kid)))
        return self._remember(token, claims, kid)

    def _signed_claims(self, token: str, key: RSAPublicKey) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                issuer=self._config.issuer,
                audience=self._config.audiences,
                leeway=self._config.leeway,
                options={"require": ["iss", "aud", "exp", "nbf", "iat"]},
            )
        except jwt.MissingRequiredClaimError as error:
            raise UnauthenticatedError(_unusable_claim(error.claim)) from None
        except jwt.PyJWTError as error:
            raise UnauthenticatedError(REFUSALS.get(type(error), NOT_VALID)) from None

    def _remember(self, token: str, claims: AccessTokenClaims, kid: str) -> VerifiedToken:
        # Not longer than the keys are fresh: a token whose key the issuer withdrew must fall with it.
        lasts = min(claims.exp + self._config.leeway - time.time(), self._keys.fresh_for)
        bound_to = None if claims.cnf is None else claims.cnf.x5t_s256
        verified = VerifiedToken(_principal(claims, kid), time.monotonic() + lasts, bound_to)
        self._verified[token] = verified
        if len(self._verified) > self._config.cache_size:
            self._verified.popitem(last=False)
        return verified


def _key_id(token: str) -> str:
    """The ``kid`` of a token that claims to be one of ours.

    Other keys that it names or brings (``jwk``, ``jku``, ``x5u``) are never looked at.
    """
    if len(token) > LONGEST_TOKEN or COMPACT.fullmatch(token) is None:
        raise UnauthenticatedError(NOT_VALID)
    # The header alone: decoding the rest as well takes several times as long, and is done soon enough.
    encoded_header, _, _ = token.partition(".")
    try:
        header = jwt.get_unverified_header(f"{encoded_header}..")
    except jwt.PyJWTError:
        raise UnauthenticatedError(NOT_VALID) from None
    if "kid" not in header:
        raise UnauthenticatedError(NOT_VALID)
    if str(header.get("typ")).lower().removeprefix("application/") != "at+jwt":
        raise UnauthenticatedError(WRONG_KIND)
    return str(header["kid"])


def _access_token_claims(claims: Mapping[str, Any]) -> AccessTokenClaims:
    try:
        return AccessTokenClaims.model_validate(claims)
    except ValidationError as error:
        claim = str(error.errors(include_url=False, include_input=False)[0]["loc"][0])
    raise UnauthenticatedError(WRONG_KIND if claim == "token_use" else _unusable_claim(claim))


def _unusable_claim(claim: str) -> str:
    return f"the access token's claim {claim!r} is missing or not usable here"


def _principal(claims: AccessTokenClaims, kid: str) -> Principal:
    return Principal(
        subject=claims.sub,
        kind=claims.type,
        client_id=claims.client_id,
        name=claims.name,
        scopes=frozenset(claims.scope.split()),
        token_id=claims.jti,
        expires_at=datetime.fromtimestamp(claims.exp, tz=UTC),
        rate_limit=claims.rate_limit,
        issued_at=datetime.fromtimestamp(claims.iat, tz=UTC),
        key_id=kid,
    )
