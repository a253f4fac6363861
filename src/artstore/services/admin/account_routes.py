"""The operations on service accounts of the admin role."""

from typing import Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from artstore.core.audit.notes import note
from artstore.core.http.operations import JSON, Answer, Operation, json_response
from artstore.core.keys import PRINCIPAL
from artstore.core.spec import AlreadyExistsError, NotFoundError, UnsupportedError
from artstore.services.admin.account_models import (
    AccountDescription,
    AccountFilter,
    AccountPage,
    AccountPatch,
    AccountUsage,
    AccountView,
    AccountWithSecret,
    ExpiryWindow,
    NewServiceAccount,
    SecretRotation,
)
from artstore.services.admin.keys import ADMIN
from artstore.services.admin.token_endpoint import NO_STORE


class AccountPath(BaseModel):
    """Which account."""

    account_id: UUID


async def create_service_account(request: web.Request, body: NewServiceAccount) -> web.Response:
    """Make a service account. Its secret is shown this once."""
    account = await request.app[ADMIN].accounts.create(body, held_scopes=request[PRINCIPAL].scopes)
    note(account_id=str(account.id), client_id=account.client_id)
    return json_response(account, status=201, headers=NO_STORE)


async def list_service_accounts(request: web.Request, query: AccountFilter) -> AccountPage:
    """Service accounts by name."""
    return await request.app[ADMIN].accounts.list(query)


async def list_expiring_accounts(request: web.Request, query: ExpiryWindow) -> AccountPage:
    """Service accounts whose secret expires soon or has expired, the soonest first."""
    return await request.app[ADMIN].accounts.expiring(query)


async def get_service_account(request: web.Request, path: AccountPath) -> AccountView:
    """One service account."""
    return await request.app[ADMIN].accounts.get(path.account_id)


async def put_service_account(
    request: web.Request, path: AccountPath, body: AccountDescription
) -> AccountView:
    """Describe a service account anew. Tokens that permit what it may no longer do are refused at once."""
    held = request[PRINCIPAL].scopes
    return await request.app[ADMIN].accounts.replace(path.account_id, body, held_scopes=held)


async def patch_service_account(request: web.Request, path: AccountPath, body: AccountPatch) -> AccountView:
    """Change single things about a service account."""
    held = request[PRINCIPAL].scopes
    return await request.app[ADMIN].accounts.patch(path.account_id, body, held_scopes=held)


async def delete_service_account(request: web.Request, path: AccountPath) -> None:
    """Delete a service account. Its tokens are refused at once."""
    await request.app[ADMIN].accounts.delete(path.account_id, held_scopes=request[PRINCIPAL].scopes)


async def rotate_secret(request: web.Request, path: AccountPath, body: SecretRotation) -> web.Response:
    """Give a service account a new secret, which is shown this once.

    That of a system account is not shown: it is put where ArtStore looks for it.
    """
    account = await request.app[ADMIN].accounts.rotate_secret(
        path.account_id, body, held_scopes=request[PRINCIPAL].scopes
    )
    return json_response(account, headers=NO_STORE)


async def suspend_account(request: web.Request, path: AccountPath) -> AccountView:
    """Suspend a service account: it gets no tokens, and those it has are refused at once."""
    held = request[PRINCIPAL].scopes
    return await request.app[ADMIN].accounts.suspend(path.account_id, held_scopes=held)


async def activate_account(request: web.Request, path: AccountPath) -> AccountView:
    """End the suspension of a service account. Tokens from before it stay refused."""
    held = request[PRINCIPAL].scopes
    return await request.app[ADMIN].accounts.activate(path.account_id, held_scopes=held)


async def get_account_usage(request: web.Request, path: AccountPath) -> AccountUsage:
    """What a service account asked for in the last 30 days."""
    return await request.app[ADMIN].accounts.usage(path.account_id)


async def revoke_account_tokens(request: web.Request, path: AccountPath) -> AccountView:
    """Refuse every token that a service account has, at once. It may ask for others."""
    held = request[PRINCIPAL].scopes
    return await request.app[ADMIN].accounts.revoke_tokens(path.account_id, held_scopes=held)


_ACCOUNTS: Final = "/api/v1/service-accounts"
_ACCOUNT: Final = f"{_ACCOUNTS}/{{account_id}}"
_READ: Final = "accounts:read"
_WRITE: Final = "accounts:write"
_GONE: Final = (NotFoundError,)
_TAKEN: Final = (NotFoundError, AlreadyExistsError)

ACCOUNT_OPERATIONS: Final = (
    Operation(
        "POST",
        _ACCOUNTS,
        create_service_account,
        scope=_WRITE,
        answers={201: Answer("The account and its secret.", {JSON: AccountWithSecret})},
        problems=[AlreadyExistsError],
    ),
    Operation("GET", _ACCOUNTS, list_service_accounts, scope=_READ),
    Operation("GET", f"{_ACCOUNTS}/expiring", list_expiring_accounts, scope=_READ),
    Operation("GET", _ACCOUNT, get_service_account, scope=_READ, problems=_GONE),
    Operation("PUT", _ACCOUNT, put_service_account, scope=_WRITE, problems=_TAKEN),
    Operation("PATCH", _ACCOUNT, patch_service_account, scope=_WRITE, problems=_TAKEN),
    Operation("DELETE", _ACCOUNT, delete_service_account, scope=_WRITE, problems=_GONE),
    Operation(
        "POST",
        f"{_ACCOUNT}/rotate-secret",
        rotate_secret,
        scope=_WRITE,
        answers={200: Answer("The account and its new secret.", {JSON: AccountWithSecret})},
        problems=[NotFoundError, UnsupportedError],
    ),
    Operation("POST", f"{_ACCOUNT}/suspend", suspend_account, scope=_WRITE, problems=_GONE),
    Operation("POST", f"{_ACCOUNT}/activate", activate_account, scope=_WRITE, problems=_GONE),
    Operation("GET", f"{_ACCOUNT}/usage", get_account_usage, scope=_READ, problems=_GONE),
    Operation("POST", f"{_ACCOUNT}/revoke-tokens", revoke_account_tokens, scope=_WRITE, problems=_GONE),
)
