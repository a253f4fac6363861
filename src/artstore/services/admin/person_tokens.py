"""Tokens of people: what a login and each refresh of it give."""

import uuid
from dataclasses import dataclass, field
from typing import Final

from artstore.core.audit.record import Actor
from artstore.core.scopes import person_scopes
from artstore.core.stores.people import Person
from artstore.core.stores.sessions import RefreshToken, hash_of
from artstore.services.admin.password_policy import PasswordPolicy
from artstore.services.admin.token_models import PersonToken
from artstore.services.admin.tokens import TokenIssuer

REFRESH_TOKEN_TYPE: Final = "rt+jwt"  # noqa: S105 - unlike that of access tokens (RFC 8725 section 3.11)
CLIENT_ID_PREFIX: Final = "user_"
"""No service account has a client id that begins so."""


@dataclass(frozen=True, slots=True)
class Issued:
    """What the person gets, and what is kept of it."""

    answer: PersonToken = field(repr=False)
    kept: RefreshToken


class PersonTokens:
    """Issues tokens to people, for ``audience``. ``refresh_lifetime`` is in seconds."""

    def __init__(
        self, issuer: TokenIssuer, policy: PasswordPolicy, *, audience: str, refresh_lifetime: int
    ) -> None:
        self._issuer = issuer
        self._policy = policy
        self._audience = audience
        self._refresh_lifetime = refresh_lifetime

    async def issue(self, person: Person, *, session_id: str | None = None) -> Issued:
        """Both tokens, for a new session or the next ones of ``session_id``."""
        scope = " ".join(sorted(person_scopes(person.role)))
        common = _claims(person)
        limit = self._issuer.rate_limit
        limits = {} if limit is None else {"rate_limit": limit}
        access = await self._issuer.sign(
            {**common, **limits, "scope": scope, "token_use": "access"},
            audience=self._audience,
            lifetime=self._issuer.lifetime,
        )
        refresh = await self._issuer.sign(
            {**common, "token_use": "refresh"},
            audience=self._issuer.issuer,  # for nobody else
            lifetime=self._refresh_lifetime,
            token_type=REFRESH_TOKEN_TYPE,
        )
        age = self._policy.age(person)
        answer = PersonToken(
            access_token=access.text,
            expires_in=self._issuer.lifetime,
            scope=scope,
            issued_at=access.issued_at,
            refresh_token=refresh.text,
            refresh_expires_in=self._refresh_lifetime,
            password_expires_at=age.expires_at,
            password_expires_soon=age.is_warned,
        )
        kept = RefreshToken(
            token_hash=hash_of(refresh.text),
            session_id=session_id or uuid.uuid4().hex,
            person_id=person.id,
            expires_at=refresh.expires_at,
            access_token_id=access.id,
            access_expires_at=access.expires_at,
        )
        return Issued(answer, kept)


def actor_of(person: Person) -> Actor:
    """A person as the audit trail names who did something."""
    return Actor(subject=person.id, client_id=_client_id(person), kind="admin_user")


def _client_id(person: Person) -> str:
    return f"{CLIENT_ID_PREFIX}{person.username}"


def _claims(person: Person) -> dict[str, str | int | None]:
    """The subject is who it is, whatever they are called later; a name is free again once deleted."""
    return {
        "sub": person.id,
        "client_id": _client_id(person),
        "role": person.role,
        "name": person.username,
        "type": "admin_user",
    }
