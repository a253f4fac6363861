"""The operations of the admin role: what each takes, gives, and who may call it."""

from typing import Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from artstore.core.exchange import Element, ElementPage, Endpoints, Registration
from artstore.core.http.operations import JSON, Answer, Operation, json_response
from artstore.core.keys import PRINCIPAL, SETTINGS
from artstore.core.spec import (
    AlreadyExistsError,
    BeingFinalizedError,
    ContentTooLargeError,
    IncompleteBodyError,
    ModeNotAllowedError,
    NotFoundError,
    RequestTimeoutError,
    RetentionActiveError,
    UnavailableError,
    UnsupportedError,
    UpstreamError,
)
from artstore.services.admin.elements import ElementQuery, NewElement
from artstore.services.admin.files import FileQuery, RegisteredFile, RegisteredFilePage, RegistrationResult
from artstore.services.admin.keys import ADMIN
from artstore.services.admin.metadata import (
    JWKS_PATH,
    METADATA_PATH,
    TOKEN_PATH,
    ServerMetadata,
    server_metadata,
)
from artstore.services.admin.paging import Paging
from artstore.services.admin.service_accounts import (
    AccountPage,
    AccountView,
    AccountWithSecret,
    NewServiceAccount,
    SecretRotation,
)
from artstore.services.admin.signing_keys import JsonWebKeySet
from artstore.services.admin.token_endpoint import NO_STORE, TokenError, refusal_response
from artstore.services.admin.token_requests import (
    FORM,
    TokenParameters,
    TokenRefusedError,
    read_token_request,
)
from artstore.services.admin.tokens import IssuedToken

CACHEABLE: Final = {"Cache-Control": "public, max-age=300"}


class AccountPath(BaseModel):
    """Which account."""

    account_id: UUID


class ElementPath(BaseModel):
    """Which storage element."""

    element_id: str


class FilePath(BaseModel):
    """Which file."""

    file_id: UUID


async def issue_token(request: web.Request) -> web.Response:
    """Give a service account an access token (RFC 6749 section 4.4).

    Credentials come by HTTP Basic or in the body, which is a form or JSON.
    """
    admin = request.app[ADMIN]
    try:
        with admin.metrics.tokens.observe():
            asked = await read_token_request(request)
            async with admin.guesses.guarded(request, asked.client_id):
                token = await admin.tokens.answer(asked)
    except TokenRefusedError as refusal:
        return refusal_response(refusal)
    return json_response(token, headers=NO_STORE)


async def get_key_set(request: web.Request) -> web.Response:
    """The keys that verify access tokens (RFC 7517)."""
    return json_response(await request.app[ADMIN].signing_keys.published(), headers=CACHEABLE)


async def get_server_metadata(request: web.Request) -> web.Response:
    """What this authorization server offers (RFC 8414)."""
    return json_response(server_metadata(request.app[SETTINGS]), headers=CACHEABLE)


async def get_endpoints(request: web.Request) -> Endpoints:
    """Where the roles of this cluster are."""
    settings = request.app[SETTINGS]
    return Endpoints(
        admin=settings.url("admin"),
        element=settings.url("element"),
        ingester=settings.url("ingester"),
        query=settings.url("query"),
    )


async def create_service_account(request: web.Request, body: NewServiceAccount) -> web.Response:
    """Make a service account. Its secret is shown this once."""
    account = await request.app[ADMIN].accounts.create(body, held_scopes=request[PRINCIPAL].scopes)
    return json_response(account, status=201, headers=NO_STORE)


async def list_service_accounts(request: web.Request, query: Paging) -> AccountPage:
    """Service accounts by name."""
    return await request.app[ADMIN].accounts.list(query)


async def get_service_account(request: web.Request, path: AccountPath) -> AccountView:
    """One service account."""
    return await request.app[ADMIN].accounts.get(path.account_id)


async def delete_service_account(request: web.Request, path: AccountPath) -> None:
    """Delete a service account. Tokens that it has end with their lifetime."""
    await request.app[ADMIN].accounts.delete(path.account_id, held_scopes=request[PRINCIPAL].scopes)


async def rotate_secret(request: web.Request, path: AccountPath, body: SecretRotation) -> web.Response:
    """Give a service account a new secret, which is shown this once.

    That of a system account is not shown: it is put where ArtStore looks for it.
    """
    account = await request.app[ADMIN].accounts.rotate_secret(
        path.account_id, body, held_scopes=request[PRINCIPAL].scopes
    )
    return json_response(account, headers=NO_STORE)


async def register_element(request: web.Request, body: NewElement) -> Element:
    """Register the storage element at a URL. Again: note what it says now, and that it has moved."""
    return await request.app[ADMIN].elements.register(body.url)


async def list_elements(request: web.Request, query: ElementQuery) -> ElementPage:
    """Storage elements in the order in which uploads prefer them."""
    return await request.app[ADMIN].elements.list(query)


async def get_element(request: web.Request, path: ElementPath) -> Element:
    """One storage element."""
    return await request.app[ADMIN].elements.get(path.element_id)


async def delete_element(request: web.Request, path: ElementPath) -> None:
    """Take a storage element out of the registry. Its files stay where they are."""
    await request.app[ADMIN].elements.delete(path.element_id)


async def register_files(request: web.Request, body: Registration) -> RegistrationResult:
    """Put committed records into the index at once. Repeating it changes nothing."""
    return await request.app[ADMIN].files.register(body)


async def list_files(request: web.Request, query: FileQuery) -> RegisteredFilePage:
    """Files, newest first."""
    return await request.app[ADMIN].files.list(query)


async def get_file(request: web.Request, path: FilePath) -> RegisteredFile:
    """One file."""
    return await request.app[ADMIN].files.get(path.file_id)


async def delete_file(request: web.Request, path: FilePath) -> None:
    """Delete a file that need not be kept, where the mode of its storage element allows it."""
    await request.app[ADMIN].files.delete(path.file_id)


_TOKEN_ERROR: Final = {JSON: TokenError}
_CHALLENGE: Final = {"WWW-Authenticate": "How a client authenticates here."}
_CACHED: Final = {"Cache-Control": "For how long the answer may be kept."}

OPERATIONS: Final = [
    Operation(
        "POST",
        TOKEN_PATH,
        issue_token,
        public=True,
        streams_body=True,
        request_content={FORM: TokenParameters, JSON: TokenParameters},
        request_headers={"Authorization": "HTTP Basic with client id and secret, percent-encoded before."},
        answers={
            200: Answer("An access token.", {JSON: IssuedToken}),
            400: Answer("The request is not one that gets a token.", _TOKEN_ERROR),
            401: Answer("The client is not who it says, or may not have tokens.", _TOKEN_ERROR, _CHALLENGE),
        },
        problems=[ContentTooLargeError, RequestTimeoutError, IncompleteBodyError, UnavailableError],
    ),
    Operation(
        "GET",
        JWKS_PATH,
        get_key_set,
        public=True,
        answers={200: Answer("A JWK set.", {JSON: JsonWebKeySet}, _CACHED)},
    ),
    Operation(
        "GET",
        METADATA_PATH,
        get_server_metadata,
        public=True,
        answers={200: Answer("The metadata.", {JSON: ServerMetadata}, _CACHED)},
    ),
    Operation("GET", "/api/v1/endpoints", get_endpoints),
    Operation(
        "POST",
        "/api/v1/service-accounts",
        create_service_account,
        scope="accounts:write",
        answers={201: Answer("The account and its secret.", {JSON: AccountWithSecret})},
        problems=[AlreadyExistsError],
    ),
    Operation("GET", "/api/v1/service-accounts", list_service_accounts, scope="accounts:read"),
    Operation(
        "GET",
        "/api/v1/service-accounts/{account_id}",
        get_service_account,
        scope="accounts:read",
        problems=[NotFoundError],
    ),
    Operation(
        "DELETE",
        "/api/v1/service-accounts/{account_id}",
        delete_service_account,
        scope="accounts:write",
        problems=[NotFoundError],
    ),
    Operation(
        "POST",
        "/api/v1/service-accounts/{account_id}/rotate-secret",
        rotate_secret,
        scope="accounts:write",
        answers={200: Answer("The account and its new secret.", {JSON: AccountWithSecret})},
        problems=[NotFoundError, UnsupportedError],
    ),
    Operation(
        "POST",
        "/api/v1/storage-elements",
        register_element,
        scope="storage:admin",
        status=201,
        problems=[AlreadyExistsError, UpstreamError],
    ),
    Operation("GET", "/api/v1/storage-elements", list_elements, scope="storage:read"),
    Operation(
        "GET",
        "/api/v1/storage-elements/{element_id}",
        get_element,
        scope="storage:read",
        problems=[NotFoundError],
    ),
    Operation(
        "DELETE",
        "/api/v1/storage-elements/{element_id}",
        delete_element,
        scope="storage:admin",
        problems=[NotFoundError],
    ),
    Operation("POST", "/api/v1/files", register_files, scope="index:write", problems=[NotFoundError]),
    Operation("GET", "/api/v1/files", list_files, scope="files:read"),
    Operation("GET", "/api/v1/files/{file_id}", get_file, scope="files:read", problems=[NotFoundError]),
    Operation(
        "DELETE",
        "/api/v1/files/{file_id}",
        delete_file,
        scope="files:delete",
        problems=[
            BeingFinalizedError,
            NotFoundError,
            ModeNotAllowedError,
            RetentionActiveError,
            UpstreamError,
        ],
    ),
]
