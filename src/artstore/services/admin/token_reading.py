"""Reads tokens that admin itself has issued: access tokens, and refresh tokens of people."""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import jwt
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.types import StringConstraints

from artstore.core.stores.sessions import SessionsStore
from artstore.services.admin.key_material import ALGORITHM
from artstore.services.admin.person_tokens import CLIENT_ID_PREFIX
from artstore.services.admin.signing_keys import SigningKeys

LEEWAY: Final = 5
"""Seconds, as every role tolerates: a token may be dated into the second that follows a revocation."""

Text = Annotated[str, StringConstraints(min_length=1)]


class ReadToken(BaseModel):
    """The claims of a token of ours. ``kid`` is the key that proves it, if one does."""

    model_config = ConfigDict(hide_input_in_errors=True)

    iss: str
    aud: str
    sub: str
    client_id: Text
    name: str
    scope: str | None = None
    jti: Text
    iat: int
    nbf: int
    exp: int
    token_use: Literal["access", "refresh"]
    cnf: dict[str, str] | None = None
    kid: str | None = None

    @property
    def is_of_person(self) -> bool:
        """Whether it was given to somebody who logged in."""
        return self.client_id.startswith(CLIENT_ID_PREFIX)


class TokenReader:
    """Knows access tokens by the keys of this process, refresh tokens by what is kept of them."""

    def __init__(self, keys: SigningKeys, sessions: SessionsStore, *, issuer: str) -> None:
        self._keys = keys
        self._sessions = sessions
        self._issuer = issuer

    async def read(self, token: str, *, even_used: bool = False) -> ReadToken | None:
        """What the token says; ``None`` where it is none of ours, or does not hold any more.

        ``even_used``: also a refresh token that was used up, in whose session others followed.
        """
        if (said := self._read_access_token(token)) is not None:
            return said
        found = await self._sessions.find(token)
        if found is None or (found.is_used and not even_used) or found.expires_at <= datetime.now(UTC):
            return None
        # That it was kept when it was issued proves it, whatever has become of the key that signed it.
        return ReadToken.model_validate(jwt.decode(token, options={"verify_signature": False}))

    def _read_access_token(self, token: str) -> ReadToken | None:
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = next(key for key in self._keys.loaded if key.kid == kid)
            claims = jwt.decode(
                token,
                key.private_key.public_key(),
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                leeway=LEEWAY,
                options={"verify_aud": False, "require": ["iss", "exp", "iat", "nbf"]},
            )
            said = ReadToken.model_validate({**claims, "kid": kid})
        except (jwt.PyJWTError, StopIteration, ValidationError, UnicodeError):
            return None
        return said if said.token_use == "access" else None  # noqa: S105 - no secret
