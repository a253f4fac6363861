"""Verifies the JWTs with which clients prove that they have a private key (RFC 7523 section 3)."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import jwt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artstore.core.stores.accounts import ServiceAccount
from artstore.core.stores.assertions import AssertionsStore
from artstore.services.admin.client_keys import NOBODYS_JWKS, NOBODYS_KEYS, find_key, verification

LEEWAY: Final = timedelta(seconds=5)
LONGEST_LIFETIME: Final = timedelta(hours=1)
"""Assertions that are good for longer are refused: each is kept for as long, so that it is good once."""

LONGEST: Final = 8192
"""Characters."""


class AssertionClaims(BaseModel):
    """What an assertion says beside whom it is from and for."""

    model_config = ConfigDict(hide_input_in_errors=True)

    jti: Annotated[str, Field(min_length=1, max_length=256)]
    exp: Annotated[float, Field(gt=0, lt=datetime.max.replace(tzinfo=UTC).timestamp())]


class ClientAssertions:
    """``audiences`` are the names of this authorization server: an assertion for another is none for us."""

    def __init__(self, store: AssertionsStore, *, audiences: tuple[str, ...]) -> None:
        self._store = store
        self._audiences = audiences

    async def refusal(self, account: ServiceAccount, assertion: str) -> str | None:
        """Why the assertion does not prove that it comes from ``account``; ``None`` when it does.

        It is used up when it does.
        """
        try:
            claims = self._verified(account, assertion)
        except (jwt.PyJWTError, ValidationError, ValueError):
            return "wrong_assertion"
        now, expires_at = datetime.now(UTC), datetime.fromtimestamp(claims.exp, UTC)
        if expires_at > now + LONGEST_LIFETIME + LEEWAY:
            return "long_assertion"
        is_new = await self._store.use(
            account.client_id, claims.jti, now=now, expires_at=expires_at + 2 * LEEWAY
        )
        return None if is_new else "used_assertion"

    def _verified(self, account: ServiceAccount, assertion: str) -> AssertionClaims:
        """The same work, whether or not the client has such a key: of which type it is says the assertion."""
        if len(assertion) > LONGEST:
            raise jwt.InvalidTokenError
        header = jwt.get_unverified_header(assertion)
        algorithm = str(header.get("alg"))
        own = find_key(account.jwks or NOBODYS_JWKS, kid=header.get("kid"), algorithm=algorithm)
        if (jwk := own or NOBODYS_KEYS.get(algorithm)) is None:
            raise jwt.InvalidAlgorithmError
        key, algorithms = verification(jwk)
        claims = jwt.decode(
            assertion,
            key,
            algorithms=algorithms,
            issuer=account.client_id,
            subject=account.client_id,
            audience=self._audiences,
            leeway=LEEWAY,
            options={"require": ["iss", "sub", "aud", "exp", "jti"]},
        )
        if own is None:
            raise jwt.InvalidTokenError
        return AssertionClaims.model_validate(claims)


def claimed_client(assertion: str) -> str:
    """Who an assertion says it is from, unverified; nobody's name where it says nothing of the kind."""
    try:
        claimed = str(jwt.decode(assertion, options={"verify_signature": False}).get("sub", ""))
    except (jwt.PyJWTError, ValueError):
        return ""
    # No client id has other characters, of which JSON can spell some that UTF-8 lacks.
    return claimed if claimed.isascii() else ""
