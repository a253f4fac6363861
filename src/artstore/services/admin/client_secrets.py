"""Secrets of service accounts: machine-made, shown once, kept as keyed hashes."""

import hashlib
import hmac
import secrets
from typing import Final

PEPPER: Final = "secret-pepper"
"""Name of the secret under which the hashes are keyed; it is not in the database, they are."""

PREFIX: Final = "ars_"
"""Lets scanners of repositories and logs find a secret that leaked."""

_SIZE: Final = 32  # bytes


class ClientSecrets:
    """HMAC-SHA-256 under the pepper: 256 random bits need no slow hash to resist guessing."""

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper

    @staticmethod
    def new() -> str:
        """A secret nobody has had before."""
        return PREFIX + secrets.token_urlsafe(_SIZE)

    def digest(self, secret: str) -> str:
        """What is kept of ``secret``: 64 hex digits."""
        return hmac.digest(self._pepper, secret.encode(), hashlib.sha256).hex()
