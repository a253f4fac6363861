"""What a client may ask of a token that is already out: to revoke it (RFC 7009), what it is (RFC 7662)."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import BaseModel, Field

from artstore.core.revocation import RevocationList
from artstore.core.spec import Authenticator, Credentials, Principal, UnauthenticatedError
from artstore.core.stores.accounts import ServiceAccount
from artstore.services.admin.client_authentication import ClientAuthenticator
from artstore.services.admin.client_requests import ClientParameters, ClientProof, TokenRefusedError
from artstore.services.admin.revocations import Revocations

READS_OF_OTHERS: Final = "accounts:read"
"""The scope with which a client is told about tokens that are not its own."""


class TokenQuery(ClientParameters):
    """The body of a request about a token."""

    token: Annotated[str, Field(min_length=1, repr=False, description="An access token.")]
    token_type_hint: Annotated[
        str | None, Field(description="Accepted and not needed: there is one kind of token here.")
    ] = None


class Introspection(BaseModel):
    """What a token is. Of one that is not active nothing else is told (RFC 7662 section 2.2)."""

    active: bool
    scope: str | None = None
    client_id: str | None = None
    username: Annotated[str | None, Field(description="The name of the account.")] = None
    token_type: Annotated[str | None, Field(description="`Bearer`.")] = None
    exp: Annotated[int | None, Field(description="Seconds since 1970-01-01 UTC, as in `iat`.")] = None
    iat: int | None = None
    sub: str | None = None
    aud: str | None = None
    iss: str | None = None
    jti: str | None = None


class TokenStatus:
    """Knows of a token what every role of this cluster would decide about it."""

    def __init__(
        self, clients: ClientAuthenticator, revocations: Revocations, *, issuer: str, audience: str
    ) -> None:
        self._clients = clients
        self._revocations = revocations
        self._issuer = issuer
        self._audience = audience

    async def revoke(self, proof: ClientProof, token: str, *, tokens: Authenticator) -> None:
        """Revoke a token of the client that asks. One that holds no longer, or never did, is no error.

        Raises:
            TokenRefusedError: the client is not who it says, or the token is another's.
        """
        account = await self._clients.authenticate(proof)
        principal = await _verified(token, tokens)
        if principal is None:
            return
        if principal.client_id != account.client_id:
            raise TokenRefusedError("unauthorized_client", "this token was issued to another client")
        await self._revocations.revoke_token(principal)

    async def introspect(
        self, proof: ClientProof, token: str, *, tokens: Authenticator, revoked: RevocationList
    ) -> Introspection:
        """What the token is, for its own client and for those that may read accounts.

        Raises:
            TokenRefusedError: the client is not who it says.
        """
        account = await self._clients.authenticate(proof)
        principal = await _verified(token, tokens)
        if principal is None or not _may_know(account, principal):
            return Introspection(active=False)
        try:
            await revoked.require_valid(principal)
        except UnauthenticatedError:
            return Introspection(active=False)
        return self._describe(principal)

    def _describe(self, principal: Principal) -> Introspection:
        return Introspection(
            active=True,
            scope=" ".join(sorted(principal.scopes)),
            client_id=principal.client_id,
            username=principal.name,
            token_type="Bearer",  # noqa: S106 - RFC 6750
            exp=_numeric_date(principal.expires_at),
            iat=_numeric_date(principal.issued_at),
            sub=principal.subject,
            aud=self._audience,
            iss=self._issuer,
            jti=principal.token_id,
        )


async def _verified(token: str, tokens: Authenticator) -> Principal | None:
    """Whose token it is; ``None`` of one that is no access token of this cluster, or has expired."""
    try:
        return await tokens.authenticate(Credentials(bearer_token=token))
    except UnauthenticatedError:
        return None


def _may_know(account: ServiceAccount, principal: Principal) -> bool:
    return account.client_id == principal.client_id or READS_OF_OTHERS in account.granted_scopes


def _numeric_date(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
