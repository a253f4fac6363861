"""What a client may ask of a token that is already out: to revoke it (RFC 7009), what it is (RFC 7662)."""

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import BaseModel, Field

from artstore.core.audit.notes import note
from artstore.core.audit.record import Actor
from artstore.core.stores.accounts import ServiceAccount
from artstore.core.stores.sessions import SessionsStore
from artstore.services.admin.client_authentication import ClientAuthenticator
from artstore.services.admin.client_requests import ClientParameters, ClientProof, TokenRefusedError
from artstore.services.admin.person_tokens import CLIENT_ID_PREFIX
from artstore.services.admin.revocations import Revocations
from artstore.services.admin.token_reading import ReadToken, TokenReader

READS_OF_OTHERS: Final = "accounts:read"
"""The scope with which a client is told about tokens that are not its own."""


class TokenQuery(ClientParameters):
    """The body of a request about a token."""

    token: Annotated[
        str, Field(min_length=1, repr=False, description="An access token, or a person's refresh token.")
    ]
    token_type_hint: Annotated[
        str | None, Field(description="Accepted and not needed: the token itself tells what it is.")
    ] = None


class Introspection(BaseModel):
    """What a token is. Of one that is not active nothing else is told (RFC 7662 section 2.2)."""

    active: bool
    scope: str | None = None
    client_id: str | None = None
    username: Annotated[str | None, Field(description="The name of the account or person.")] = None
    token_type: Annotated[str | None, Field(description="`Bearer`; of refresh tokens nothing.")] = None
    exp: Annotated[int | None, Field(description="Seconds since 1970-01-01 UTC, as in `iat`.")] = None
    iat: int | None = None
    nbf: int | None = None
    sub: str | None = None
    aud: str | None = None
    iss: str | None = None
    jti: str | None = None
    cnf: Annotated[dict[str, str] | None, Field(description="What it is bound to (RFC 8705).")] = None


class TokenStatus:
    """Knows of a token what every role of this cluster would decide about it."""

    def __init__(
        self,
        clients: ClientAuthenticator,
        tokens: TokenReader,
        revocations: Revocations,
        sessions: SessionsStore,
    ) -> None:
        self._clients = clients
        self._tokens = tokens
        self._revocations = revocations
        self._sessions = sessions

    async def end_session(self, query: TokenQuery) -> bool:
        """End the session in which a person got this token; whether that is what was asked for.

        People are public clients (RFC 6749 section 2.1): who has their token needs no other proof to end it.

        Raises:
            TokenRefusedError: the token is not that of the person who is named.
        """
        said = await self._tokens.read(query.token, even_used=True)
        if said is None:
            return (query.client_id or "").startswith(CLIENT_ID_PREFIX)
        if not said.is_of_person:
            return False
        if query.client_id not in (None, said.client_id):
            raise _not_yours()
        note(actor=Actor(subject=said.sub, client_id=said.client_id, kind="admin_user"))
        now = datetime.now(UTC)
        if said.token_use == "refresh":  # noqa: S105 - no secret
            await self._sessions.end_by_refresh_token(query.token, at=now)
        else:
            await self._sessions.end_by_access_token(said.jti, at=now)
        await self._revocations.look()
        return True

    async def revoke(self, proof: ClientProof, token: str) -> None:
        """Revoke a token of the client that asks. One that holds no longer, or never did, is no error.

        Raises:
            TokenRefusedError: the client is not who it says, or the token is another's.
        """
        account = await self._clients.authenticate(proof)
        said = await self._tokens.read(token)
        if said is None:
            return
        if said.client_id != account.client_id:
            raise _not_yours()
        await self._revocations.revoke_token(said.jti)

    async def introspect(self, proof: ClientProof, token: str) -> Introspection:
        """What the token is, for its own client and for those that may read accounts.

        Raises:
            TokenRefusedError: the client is not who it says.
        """
        account = await self._clients.authenticate(proof)
        said = await self._tokens.read(token)
        if said is None or not _may_know(account, said) or self._is_revoked(said):
            return Introspection(active=False)
        known = said.model_dump(exclude={"kid", "name", "token_use"})
        token_type = "Bearer" if said.token_use == "access" else None  # noqa: S105 - no secret
        return Introspection(active=True, username=said.name, token_type=token_type, **known)

    def _is_revoked(self, said: ReadToken) -> bool:
        issued_at = datetime.fromtimestamp(said.iat, UTC)
        return self._revocations.has_revoked(said.jti, said.client_id, issued_at=issued_at, key_id=said.kid)


def _not_yours() -> TokenRefusedError:
    return TokenRefusedError("unauthorized_client", "this token was issued to another client")


def _may_know(account: ServiceAccount, said: ReadToken) -> bool:
    return account.client_id == said.client_id or READS_OF_OTHERS in account.granted_scopes
