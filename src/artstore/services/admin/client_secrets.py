"""Ids and secrets of service accounts: machine-made, the secrets shown once and kept as keyed hashes."""

import hashlib
import hmac
import re
import secrets
from typing import Final

PEPPER: Final = "secret-pepper"
"""Name of the secret under which the hashes are keyed; it is not in the database, they are."""

PREFIX: Final = "ars_"
"""Lets scanners of repositories and logs find a secret that leaked."""

_SIZE: Final = 32  # bytes


class ClientSecrets:
    """HMAC-SHA-256 under the pepper: 256 random bits need no slow hash to resist guessing."""

    __slots__ = ("_pepper",)  # instead of a dictionary, in which tools that show variables would find it

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper

    @staticmethod
    def new() -> str:
        """A secret nobody has had before."""
        return PREFIX + secrets.token_urlsafe(_SIZE)

    def digest(self, secret: str) -> str:
        """What is kept of ``secret``: 64 hex digits."""
        return hmac.digest(self._pepper, secret.encode(), hashlib.sha256).hex()


def new_client_id(name: str, environment: str) -> str:
    """``sa_<environment>_<name>_<8 hex>``, the name in characters that are safe everywhere."""
    safe = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "account"
    return f"sa_{environment}_{safe}_{secrets.token_hex(4)}"
