"""Reads access tokens that admin itself has issued, for whatever resource."""

from typing import Annotated, Final, Literal

import jwt
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.types import StringConstraints

from artstore.services.admin.key_material import ALGORITHM
from artstore.services.admin.signing_keys import SigningKeys

LEEWAY: Final = 5
"""Seconds, as every role tolerates: a token may be dated into the second that follows a revocation."""

Text = Annotated[str, StringConstraints(min_length=1)]


class ReadToken(BaseModel):
    """The claims of an access token of ours that has not expired."""

    model_config = ConfigDict(hide_input_in_errors=True)

    iss: str
    aud: str
    sub: str
    client_id: Text
    name: str
    scope: str
    jti: Text
    iat: int
    nbf: int
    exp: int
    token_use: Literal["access"]
    cnf: dict[str, str] | None = None


class TokenReader:
    """Verifies with the keys of this process: what was signed here is known here at once."""

    def __init__(self, keys: SigningKeys, *, issuer: str) -> None:
        self._keys = keys
        self._issuer = issuer

    def read(self, token: str) -> ReadToken | None:
        """What the token says; ``None`` where it is none of ours, or does not hold any more."""
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
            return ReadToken.model_validate(claims)
        except (jwt.PyJWTError, StopIteration, ValidationError, UnicodeError):
            return None
