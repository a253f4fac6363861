"""The ``auth`` contract: from credentials to a principal."""

import base64
import hashlib
from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

PrincipalKind = Literal["service_account", "admin_user"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request proves its sender with. Neither value is ever printed.

    ``client_certificate`` is the one (DER) that the sender has proved to have the key of.
    """

    bearer_token: str | None = field(default=None, repr=False)
    client_certificate: bytes | None = field(default=None, repr=False)

    @property
    def certificate_thumbprint(self) -> str | None:
        """What a token that is bound to the client's certificate says of it (``x5t#S256``, RFC 8705)."""
        if self.client_certificate is None:
            return None
        digest = hashlib.sha256(self.client_certificate).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sends a request and what it may do. Unknown roles and scopes mean no access.

    ``rate_limit`` is in requests per minute; ``None`` means that nothing was proved to limit them.
    ``token_id`` and ``issued_at`` say what a revocation would have to name: without them a token can be
    revoked only together with all others of its client. ``key_id`` is the ``kid`` of the key that signed
    it: without it, a key that is withdrawn is believed until the authenticator asks for the keys again.
    """

    subject: str
    kind: PrincipalKind
    client_id: str
    name: str
    scopes: frozenset[str]
    token_id: str | None = None
    expires_at: datetime | None = None
    rate_limit: int | None = None
    issued_at: datetime | None = None
    key_id: str | None = None


@runtime_checkable
class Authenticator(Protocol):
    """Decides who sends a request."""

    @abstractmethod
    async def authenticate(self, credentials: Credentials) -> Principal:
        """The principal these credentials prove.

        Called on every request: what was verified once is remembered, bounded, and checked again for
        its expiry.

        Raises:
            UnauthenticatedError: they prove nothing; the message tells the client what to do and
                nothing an attacker could use.
            UnavailableError: what is needed to decide (the issuer's keys) cannot be had now.
        """
        ...
