"""Issues access tokens: JWTs in the profile of RFC 9068."""

import uuid
from collections.abc import Set
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import jwt
from pydantic import BaseModel, Field

from artstore.core.stores.accounts import ServiceAccount
from artstore.services.admin.key_material import ALGORITHM
from artstore.services.admin.signing_keys import SigningKeys

TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - RFC 9068 section 2.1


class IssuedToken(BaseModel):
    """An access token (RFC 6749 section 5.1)."""

    access_token: Annotated[str, Field(repr=False)]
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: Annotated[int, Field(description="Seconds.")]
    scope: Annotated[str, Field(description="What the token permits, separated by spaces.")]
    issued_at: datetime


class TokenIssuer:
    """Signs tokens of one issuer. ``lifetime`` is in seconds, ``rate_limit`` per minute."""

    def __init__(
        self, keys: SigningKeys, *, issuer: str, lifetime: int, rate_limit: int | None = None
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._lifetime = lifetime
        self._rate_limit = rate_limit

    async def issue(self, account: ServiceAccount, scopes: Set[str], *, audience: str) -> IssuedToken:
        """A token for ``account``. ``scopes`` must be some of its own.

        Signing is done in the event loop: it takes under a millisecond and the library holds the
        interpreter meanwhile, so that a thread would only add its own cost (measured).
        """
        key = await self._keys.current()
        now = datetime.now(UTC).replace(microsecond=0)
        if account.tokens_valid_from is not None:
            # Tokens of the second in which others were revoked could not be told from those.
            now = max(now, account.tokens_valid_from)
        scope = " ".join(sorted(scopes))
        claims = self._claims(account, scope=scope, audience=audience, issued_at=now)
        token = jwt.encode(claims, key.private_key, ALGORITHM, headers={"kid": key.kid, "typ": TOKEN_TYPE})
        return IssuedToken(access_token=token, expires_in=self._lifetime, scope=scope, issued_at=now)

    def _claims(
        self, account: ServiceAccount, *, scope: str, audience: str, issued_at: datetime
    ) -> dict[str, Any]:
        """RFC 9068 section 2.2. A client that acts for itself is its own subject."""
        return {
            "iss": self._issuer,
            "aud": audience,
            "sub": account.client_id,
            "client_id": account.client_id,
            "scope": scope,
            "role": account.role,
            "name": account.name,
            "type": "service_account",
            "token_use": "access",
            "jti": uuid.uuid4().hex,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at + timedelta(seconds=self._lifetime),
            **self._limits(account),
        }

    def _limits(self, account: ServiceAccount) -> dict[str, int]:
        """How often the token may be used, for every role to hold its bearer to."""
        limit = self._rate_limit if account.rate_limit is None else account.rate_limit
        return {} if account.is_system or limit is None else {"rate_limit": limit}
