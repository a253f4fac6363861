"""The ``auth`` contract: from credentials to a principal."""

from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

PrincipalKind = Literal["service_account", "admin_user"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request proves its sender with. Neither value is ever printed."""

    bearer_token: str | None = field(default=None, repr=False)
    client_certificate: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sends a request and what it may do. Unknown roles and scopes mean no access.

    ``rate_limit`` is in requests per minute; ``None`` means that nothing was proved to limit them.
    ``token_id`` and ``issued_at`` say what a revocation would have to name: without them a token can be
    revoked only together with all others of its client.
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
