"""Reads requests in which a client proves who it is: form or JSON, HTTP Basic or in the body (RFC 6749)."""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import parse_qsl, unquote_plus

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artstore.core.http.bodies import guarded_body
from artstore.core.keys import SETTINGS
from artstore.core.spec import InvalidRequestError
from artstore.core.validation import from_request
from artstore.services.admin.client_assertions import claimed_client

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_BODY_SIZE: Final = 16 * 1024
"""Bytes: hundreds of scopes."""

_MAX_PARAMETERS: Final = 32

ErrorCode = Literal[
    "invalid_request",
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
]


class TokenRefusedError(Exception):
    """The request is refused. ``code`` is one of RFC 6749 or RFC 8707, ``description`` helps people."""

    def __init__(self, code: ErrorCode, description: str) -> None:
        super().__init__(code)
        self.code: ErrorCode = code
        self.description = description


class ClientParameters(BaseModel):
    """What proves in the body who the client is. Unknown parameters are ignored (RFC 6749 section 3.2)."""

    model_config = ConfigDict(hide_input_in_errors=True)

    client_id: Annotated[str | None, Field(description="Absent with HTTP Basic.")] = None
    client_secret: Annotated[
        str | None,
        Field(repr=False, description="Absent with HTTP Basic.", json_schema_extra={"format": "password"}),
    ] = None
    client_assertion_type: Annotated[str | None, Field(description=f"`{ASSERTION_TYPE}`.")] = None
    client_assertion: Annotated[
        str | None,
        Field(repr=False, description="A JWT in place of a secret (RFC 7523), signed with a registered key."),
    ] = None


@dataclass(frozen=True, slots=True)
class ClientProof:
    """What a client says to be, and what it proves that with: a secret or an assertion."""

    client_id: str
    client_secret: str = field(default="", repr=False)
    assertion: str | None = field(default=None, repr=False)


P = TypeVar("P", bound=ClientParameters)


async def read_parameters(request: web.Request, model: type[P]) -> P:
    """The parameters of the request.

    Raises:
        TokenRefusedError: they are malformed, ambiguous or not complete.
        ContentTooLargeError, RequestTimeoutError, IncompleteBodyError: the body is unusable.
    """
    return _parse(request.content_type, await _read_body(request), model)


def is_public_client(request: web.Request, parameters: ClientParameters) -> bool:
    """Whether the client proves nothing: one that can keep no secret (RFC 6749 section 2.1)."""
    proofs = (parameters.client_secret, parameters.client_assertion, parameters.client_assertion_type)
    return "Authorization" not in request.headers and not any(proofs)


def proof_of(request: web.Request, parameters: ClientParameters) -> ClientProof:
    """With what the client proves itself: exactly one method (RFC 6749 section 2.3), or two could name two.

    Raises:
        TokenRefusedError: there is no proof, or there are several.
    """
    headers = request.headers.getall("Authorization", [])
    if parameters.client_assertion is not None or parameters.client_assertion_type is not None:
        if headers or parameters.client_secret is not None:
            raise TokenRefusedError("invalid_request", "send an assertion or a secret, not both")
        return _assertion(parameters)
    if not headers:
        if parameters.client_id is None or parameters.client_secret is None:
            raise TokenRefusedError("invalid_client", "send client_id and client_secret")
        return ClientProof(parameters.client_id, parameters.client_secret)
    if len(headers) > 1 or parameters.client_secret is not None:
        raise TokenRefusedError("invalid_request", "send the credentials once: by HTTP Basic or in the body")
    client_id, client_secret = _basic(headers[0])
    # Clients may repeat their id in the body, for it identifies them without proving anything.
    if parameters.client_id not in (None, client_id):
        raise TokenRefusedError("invalid_request", "client_id differs from the one of HTTP Basic")
    return ClientProof(client_id, client_secret)


def _assertion(parameters: ClientParameters) -> ClientProof:
    assertion = parameters.client_assertion
    if assertion is None or parameters.client_assertion_type != ASSERTION_TYPE:
        raise TokenRefusedError("invalid_request", f"send client_assertion, of the type {ASSERTION_TYPE}")
    client_id = claimed_client(assertion)
    if parameters.client_id not in (None, client_id):
        raise TokenRefusedError("invalid_request", "client_id differs from the sub of the assertion")
    return ClientProof(client_id, assertion=assertion)


async def _read_body(request: web.Request) -> bytes:
    stall_timeout = request.app[SETTINGS].server.stall_timeout
    chunks = guarded_body(request, limit=MAX_BODY_SIZE, stall_timeout=stall_timeout)
    return b"".join([chunk async for chunk in chunks])


def _parse(content_type: str, body: bytes, model: type[P]) -> P:
    try:
        if content_type == FORM:
            return model.model_validate(_form(body))
        if content_type == JSON:
            return from_request(model, body, strict=True)
    except (ValidationError, InvalidRequestError):
        raise TokenRefusedError(
            "invalid_request",
            "a parameter is missing or there twice, or the body is no JSON object of strings",
        ) from None
    raise TokenRefusedError("invalid_request", f"send the parameters as {FORM} or {JSON}")


def _form(body: bytes) -> dict[str, str]:
    """Parameters by name; those without a value count as absent (RFC 6749 section 3.2)."""
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS
        )
    except ValueError:
        raise TokenRefusedError("invalid_request", "the form is not valid UTF-8 or is too long") from None
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        raise TokenRefusedError("invalid_request", "a parameter is given more than once")
    return {name: value for name, value in parameters.items() if value}


def _basic(header: str) -> tuple[str, str]:
    """RFC 7617, with both parts percent-encoded before (RFC 6749 section 2.3.1)."""
    scheme, _, encoded = header.partition(" ")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
        client_id, separator, client_secret = decoded.partition(":")
        if scheme.lower() == "basic" and separator:
            return unquote_plus(client_id, errors="strict"), unquote_plus(client_secret, errors="strict")
    except (binascii.Error, ValueError):
        pass
    raise TokenRefusedError("invalid_client", "send one Authorization header of the form Basic <credentials>")
