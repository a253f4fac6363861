"""The token endpoint (RFC 6749 sections 3.2 and 4.4): from a client's credentials to an access token."""

from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import web
from pydantic import BaseModel

from artstore.core.http.operations import json_response
from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError
from artstore.core.stores.accounts import AccountsStore, ServiceAccount
from artstore.services.admin.account_usage import UsageRecorder
from artstore.services.admin.client_authentication import ClientAuthenticator
from artstore.services.admin.client_requests import ErrorCode, TokenRefusedError
from artstore.services.admin.resource_indicators import Resources
from artstore.services.admin.token_models import IssuedToken
from artstore.services.admin.token_requests import TokenRequest
from artstore.services.admin.tokens import TokenIssuer

NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
CHALLENGE: Final = 'Basic realm="artstore", charset="UTF-8"'

_USE_NOTED_EVERY: Final = timedelta(minutes=1)
"""A write for every token would cost more than the token."""

_log = get_logger("tokens")


class TokenError(BaseModel):
    """Why there is no token (RFC 6749 section 5.2)."""

    error: ErrorCode
    error_description: str


class TokenEndpoint:
    """Authenticates clients and gives them tokens."""

    def __init__(
        self,
        accounts: AccountsStore,
        authenticator: ClientAuthenticator,
        issuer: TokenIssuer,
        usage: UsageRecorder,
        *,
        resources: Resources,
    ) -> None:
        self._accounts = accounts
        self._authenticator = authenticator
        self._issuer = issuer
        self._usage = usage
        self._resources = resources

    async def answer(self, asked: TokenRequest) -> IssuedToken:
        """A token with the scopes that were asked for.

        Raises:
            TokenRefusedError: the credentials do not hold, the scopes are not all the client's, there is no
                such resource, or the client must show a certificate and does not.
        """
        read_at = datetime.now(UTC)
        account = await self._authenticator.authenticate(asked.proof)
        granted = account.granted_scopes
        if not asked.scopes <= granted:
            raise TokenRefusedError(
                "invalid_scope", f"this client may have: {' '.join(sorted(granted)) or 'no scope'}"
            )
        if account.has_bound_tokens and asked.certificate_thumbprint is None:
            raise TokenRefusedError("invalid_request", "this client gets tokens over mutual TLS only")
        audience = await self._resources.audience(asked.resource)
        token = await self._issuer.issue(
            account,
            asked.scopes or granted,
            read_at=read_at,
            audience=audience,
            bound_to=asked.certificate_thumbprint if account.has_bound_tokens else None,
        )
        self._usage.issued(account.id)
        await self._note_use(account)
        return token

    async def _note_use(self, account: ServiceAccount) -> None:
        now = datetime.now(UTC)
        if account.last_used_at is not None and now - account.last_used_at < _USE_NOTED_EVERY:
            return
        try:
            await self._accounts.touch(account.id, at=now)
        except ArtStoreError as error:
            # Whoever may read can go on working while the database cannot be written.
            _log.warning("use_not_noted", client_id=account.client_id, reason=error.detail)


def refusal_response(refusal: TokenRefusedError) -> web.Response:
    """The refusal as RFC 6749 wants it, with the challenge that RFC 9110 wants with every 401."""
    body = TokenError(error=refusal.code, error_description=refusal.description)
    if refusal.code == "invalid_client":
        return json_response(body, status=401, headers={**NO_STORE, "WWW-Authenticate": CHALLENGE})
    return json_response(body, status=400, headers=NO_STORE)
