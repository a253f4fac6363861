"""Reads requests to the token endpoint (RFC 6749 section 4.4.2)."""

from dataclasses import dataclass
from typing import Annotated, Final

from aiohttp import web
from pydantic import Field

from artstore.core.keys import CLIENT_CERTIFICATE
from artstore.core.spec import Credentials
from artstore.services.admin.client_requests import (
    JSON,
    ClientParameters,
    ClientProof,
    TokenRefusedError,
    proof_of,
    read_parameters,
)

GRANT_TYPE: Final = "client_credentials"


class TokenParameters(ClientParameters):
    """The body of a token request."""

    grant_type: Annotated[
        str | None, Field(description="`client_credentials`, which in JSON may be left out.")
    ] = None
    scope: Annotated[
        str | None, Field(description="Scopes separated by spaces; all that the client has by default.")
    ] = None
    resource: Annotated[
        str | None,
        Field(description="URL of the one role that the token is for (RFC 8707); all of them by default."),
    ] = None


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A well-formed request. ``scopes`` is empty when the client asks for all it may have."""

    proof: ClientProof
    scopes: frozenset[str]
    resource: str | None
    certificate_thumbprint: str | None


async def read_token_request(request: web.Request) -> TokenRequest:
    """What the client asks for and proves itself with.

    Raises:
        TokenRefusedError: it is malformed, ambiguous, or not the client credentials grant.
        ContentTooLargeError, RequestTimeoutError, IncompleteBodyError: the body is unusable.
    """
    parameters = await read_parameters(request, TokenParameters)
    _check_grant_type(parameters.grant_type, is_required=request.content_type != JSON)
    scopes = _scopes(parameters.scope)
    certificate = request.get(CLIENT_CERTIFICATE)
    shown = Credentials(client_certificate=None if certificate is None else certificate.der)
    return TokenRequest(
        proof_of(request, parameters), scopes, parameters.resource, shown.certificate_thumbprint
    )


def _scopes(asked: str | None) -> frozenset[str]:
    """Words between spaces and nothing else (RFC 6749 section 3.3); whoever sends only such asks for none."""
    if not asked:
        return frozenset()
    return frozenset(asked.split(" ")) - {""} or frozenset({asked})


def _check_grant_type(grant_type: str | None, *, is_required: bool) -> None:
    if grant_type == GRANT_TYPE or (grant_type is None and not is_required):
        return
    if grant_type is None:
        raise TokenRefusedError("invalid_request", f"grant_type is missing: send {GRANT_TYPE}")
    raise TokenRefusedError("unsupported_grant_type", f"the only grant type here is {GRANT_TYPE}")
