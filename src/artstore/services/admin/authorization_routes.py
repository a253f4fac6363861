"""The operations of the authorization server: tokens, their revocation, keys and metadata."""

from functools import partial
from typing import Annotated, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from artstore.core.client.revocations import LONG_POLL, REVOCATIONS_PATH
from artstore.core.http.operations import JSON, Answer, Operation, json_response
from artstore.core.keys import SETTINGS, STOPPING
from artstore.core.revocation import RevocationPage
from artstore.core.spec import (
    ContentTooLargeError,
    IncompleteBodyError,
    RequestTimeoutError,
    UnavailableError,
)
from artstore.services.admin.client_requests import (
    FORM,
    TokenRefusedError,
    is_public_client,
    proof_of,
    read_parameters,
)
from artstore.services.admin.keys import ADMIN
from artstore.services.admin.metadata import (
    INTROSPECTION_PATH,
    JWKS_PATH,
    METADATA_PATH,
    REVOCATION_PATH,
    TOKEN_PATH,
    ServerMetadata,
    server_metadata,
)
from artstore.services.admin.signing_keys import JsonWebKeySet
from artstore.services.admin.token_endpoint import NO_STORE, TokenError, refusal_response
from artstore.services.admin.token_models import IssuedToken
from artstore.services.admin.token_requests import TokenParameters, read_token_request
from artstore.services.admin.token_status import Introspection, TokenQuery

CACHEABLE: Final = {"Cache-Control": "public, max-age=300"}


class RevocationQuery(BaseModel):
    """What is known already, and how long to wait for more."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    after: Annotated[
        str, Field(max_length=64, description="A `position` of before; empty: tell everything.")
    ] = ""
    wait: Annotated[
        float, Field(ge=0, le=LONG_POLL, description="Seconds to wait for a revocation when there is none.")
    ] = 0


async def issue_token(request: web.Request) -> web.Response:
    """Give a service account an access token (RFC 6749 section 4.4).

    Credentials come by HTTP Basic or in the body, which is a form or JSON.
    """
    admin = request.app[ADMIN]
    try:
        with admin.metrics.tokens.observe():
            asked = await read_token_request(request)
            token = await admin.guesses.guarded(
                request, asked.proof.client_id, partial(admin.tokens.answer, asked)
            )
    except TokenRefusedError as refusal:
        return refusal_response(refusal)
    return json_response(token, headers=NO_STORE)


async def revoke_token(request: web.Request) -> web.Response:
    """Revoke a token (RFC 7009). Every role refuses it within moments.

    The client that it was issued to asks, authenticated as for a token. A person's token, access or refresh,
    is sent without credentials, and ends the whole session. A token that does not hold, or never did, is
    answered like one that was revoked.
    """
    admin = request.app[ADMIN]
    try:
        query = await read_parameters(request, TokenQuery)
        if is_public_client(request, query) and await admin.token_status.end_session(query):
            return web.Response(headers=NO_STORE)
        proof = proof_of(request, query)
        await admin.guesses.guarded(
            request, proof.client_id, partial(admin.token_status.revoke, proof, query.token)
        )
    except TokenRefusedError as refusal:
        return refusal_response(refusal)
    return web.Response(headers=NO_STORE)


async def introspect_token(request: web.Request) -> web.Response:
    """Whether a token holds, and what it permits (RFC 7662).

    Clients may ask about their own tokens, and about any with the scope `accounts:read`; of others they
    learn that they are not active.
    """
    admin = request.app[ADMIN]
    try:
        query = await read_parameters(request, TokenQuery)
        proof = proof_of(request, query)
        found = await admin.guesses.guarded(
            request, proof.client_id, partial(admin.token_status.introspect, proof, query.token)
        )
    except TokenRefusedError as refusal:
        return refusal_response(refusal)
    return json_response(found, headers=NO_STORE)


async def list_revocations(request: web.Request, query: RevocationQuery) -> RevocationPage:
    """What was revoked after a position, oldest first; waits for something if asked to.

    Of a position that this cluster does not know, everything that is revoked is told.
    """
    return await request.app[ADMIN].revocations.page(
        query.after, patience=query.wait, stopping=request.app[STOPPING]
    )


async def get_key_set(request: web.Request) -> web.Response:
    """The keys that verify access tokens (RFC 7517)."""
    lifetime = request.app[SETTINGS].admin.signing_keys.jwks_lifetime
    headers = {"Cache-Control": f"public, max-age={lifetime}"}
    return json_response(await request.app[ADMIN].signing_keys.published(), headers=headers)


async def get_server_metadata(request: web.Request) -> web.Response:
    """What this authorization server offers (RFC 8414)."""
    return json_response(server_metadata(request.app[SETTINGS]), headers=CACHEABLE)


_CHALLENGE: Final = {"WWW-Authenticate": "How a client authenticates here."}
_CACHED: Final = {"Cache-Control": "For how long the answer may be kept."}
_BASIC: Final = {"Authorization": "HTTP Basic with client id and secret, percent-encoded before."}
_BODY_PROBLEMS: Final = (ContentTooLargeError, RequestTimeoutError, IncompleteBodyError, UnavailableError)
_REFUSALS: Final = {
    400: Answer("The request is malformed, or asks for what this client may not have.", {JSON: TokenError}),
    401: Answer("The client is not who it says, or may not have tokens.", {JSON: TokenError}, _CHALLENGE),
}

AUTHORIZATION_OPERATIONS: Final = (
    Operation(
        "POST",
        TOKEN_PATH,
        issue_token,
        public=True,
        streams_body=True,
        request_content={FORM: TokenParameters, JSON: TokenParameters},
        request_headers=_BASIC,
        answers={200: Answer("An access token.", {JSON: IssuedToken}), **_REFUSALS},
        problems=_BODY_PROBLEMS,
    ),
    Operation(
        "POST",
        REVOCATION_PATH,
        revoke_token,
        public=True,
        streams_body=True,
        request_content={FORM: TokenQuery, JSON: TokenQuery},
        request_headers=_BASIC,
        answers={200: Answer("The token does not hold, or no longer."), **_REFUSALS},
        problems=_BODY_PROBLEMS,
    ),
    Operation(
        "POST",
        INTROSPECTION_PATH,
        introspect_token,
        public=True,
        is_safe=True,
        streams_body=True,
        request_content={FORM: TokenQuery, JSON: TokenQuery},
        request_headers=_BASIC,
        answers={200: Answer("What the token is.", {JSON: Introspection}), **_REFUSALS},
        problems=_BODY_PROBLEMS,
    ),
    Operation("GET", REVOCATIONS_PATH, list_revocations, scope="revocations:read"),
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
)
