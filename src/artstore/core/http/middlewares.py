"""What happens around every request: counting, id, access log, metrics, problems, authentication."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web
from structlog.contextvars import bind_contextvars, clear_contextvars

from artstore.core.client.deadlines import DEADLINE_HEADER, note_deadline
from artstore.core.http.addresses import client_address
from artstore.core.http.charging import charge_credentials, charge_principal
from artstore.core.http.cors import cors_headers, preflight_answer
from artstore.core.http.operations import Operation
from artstore.core.http.problems import http_error_response, problem_response
from artstore.core.ids import random_id
from artstore.core.keys import (
    ANSWERING,
    AUTHENTICATOR,
    CLIENT_CERTIFICATE,
    ENDPOINTS,
    METRICS,
    PRINCIPAL,
    RATE,
    REQUEST_ID,
    REVOCATIONS,
    RUNNING,
    SECURITY_HEADERS,
    STOPPING,
)
from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError, Credentials, ForbiddenError, Principal, UnauthenticatedError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CLIENT_CLOSED_REQUEST: Final = 499
"""Status in logs and metrics of a request whose client went away (nginx's convention)."""

_VALID_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Asked for every few seconds by machines: logged at debug, so that the log tells of real work.
_PROBES: Final = frozenset({"/health/live", "/health/ready", "/metrics"})
_POLLS: Final = frozenset({"/api/v1/auth/revocations", "/api/v1/info", "/api/v1/journal"})
_log = get_logger("http")


async def add_common_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: runs before the headers of any response are sent, streamed ones included."""
    request[ANSWERING] = True
    headers = response.headers
    headers["X-Request-ID"] = request[REQUEST_ID]
    if (rate := request.get(RATE)) is not None:
        headers.update(rate.headers())
    for name, value in cors_headers(request).items():
        # An answer may vary with something else as well.
        headers.add(name, value)
    for name, value in request.app[SECURITY_HEADERS].items():
        headers.setdefault(name, value)


@web.middleware
async def count_running(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a stop wait for this request, and let none follow it on its connection once a stop has begun."""
    with request.app[RUNNING].one():
        response = await handler(request)
        if request.app[STOPPING].is_set():
            response.force_close()
        return response


@web.middleware
async def identify_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take the client's request id if it is a valid one, else make one; every log line carries it."""
    given = request.headers.get("X-Request-ID", "")
    request[REQUEST_ID] = given if _VALID_REQUEST_ID.fullmatch(given) else random_id(bits=128)
    # The connection's task serves one request after another in the same context.
    clear_contextvars()
    note_deadline(request.headers.get(DEADLINE_HEADER))
    bind_contextvars(request_id=request[REQUEST_ID])
    return await handler(request)


@web.middleware
async def log_access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One line per request, when its answer has been sent or its client has gone."""
    started = time.perf_counter()
    status = CLIENT_CLOSED_REQUEST
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        route = _route(request)
        is_routine = route in _PROBES or (route in _POLLS and status == HTTPStatus.OK)
        write = _log.debug if is_routine else _log.info
        principal = request.get(PRINCIPAL)
        write(
            "request_served",
            method=request.method,
            route=route,
            path=request.path,
            status=status,
            milliseconds=round((time.perf_counter() - started) * 1000, 2),
            client=client_address(request),
            principal=principal.client_id if principal else None,
        )


@web.middleware
async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count and time requests by route template."""
    metrics = request.app[METRICS].http
    started = time.perf_counter()
    status = CLIENT_CLOSED_REQUEST
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        metrics.observe(
            route=_route(request),
            method=request.method if request.method in _METHODS else "other",
            status=status,
            seconds=time.perf_counter() - started,
        )


@web.middleware
async def render_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error leaves as a problem document; what was not foreseen is logged and leaks nothing.

    Once an answer is on its way, an error breaks the connection: what the client has must not look
    complete.
    """
    try:
        return await handler(request)
    except (ConnectionResetError, ConnectionAbortedError, BrokenPipeError):
        # The client has gone: there is nobody to answer.
        raise
    except Exception as error:
        response = await _problem(error, request)
        if request.get(ANSWERING):
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionAbortedError("an error broke an answer that was on its way") from error
    if not request.content.is_eof():
        # What is left of a refused body must not be taken for the next request.
        response.force_close()
    return response


@web.middleware
async def answer_preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer browsers that ask whether a page of another origin may call."""
    answer = preflight_answer(request)
    return await handler(request) if answer is None else answer


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Establish the principal and require the operation's scope. Unknown routes fall through to 404.

    Whoever asks too often is refused as soon as it is known who it is.
    """
    endpoint = request.app[ENDPOINTS].get(request.match_info.route)
    if endpoint is None or endpoint.operation.public:
        if endpoint is not None and endpoint.operation.takes_credentials:
            await charge_credentials(request)
        return await handler(request)
    certificate = request.get(CLIENT_CERTIFICATE)
    credentials = Credentials(
        bearer_token=bearer_token(request),
        client_certificate=None if certificate is None else certificate.der,
    )
    principal = await request.app[AUTHENTICATOR].authenticate(credentials)
    # Asked every time, beside what the authenticator remembers: a revocation holds at once.
    await request.app[REVOCATIONS].require_valid(principal)
    request[PRINCIPAL] = principal
    await charge_principal(request, principal)
    _require_permission(endpoint.operation, principal)
    return await handler(request)


def bearer_token(request: web.Request) -> str | None:
    """The token of ``Authorization: Bearer …`` (RFC 6750 section 2.1), ``None`` without the header.

    Raises:
        UnauthenticatedError: the header is there but is not of that form, or is there twice.
    """
    headers = request.headers.getall("Authorization", [])
    if not headers:
        return None
    scheme, _, token = headers[0].partition(" ")
    if len(headers) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError("send one Authorization header of the form: Bearer <access token>")
    return token.strip()


def _require_permission(operation: Operation, principal: Principal) -> None:
    scope = operation.scope
    if scope is not None and scope not in principal.scopes:
        raise ForbiddenError(
            f"this needs the scope {scope}, which the access token does not have", scope=scope
        )
    if operation.principal_kind not in (None, principal.kind):
        raise ForbiddenError(f"this is for principals of the type {operation.principal_kind} only")


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


async def _problem(error: Exception, request: web.Request) -> web.Response:
    request_id = request[REQUEST_ID]
    if isinstance(error, web.HTTPException):
        return http_error_response(error, request_id=request_id)
    if not isinstance(error, ArtStoreError):
        # In a thread: showing the lines of a traceback reads source files.
        await asyncio.to_thread(_log.error, "request_crashed", exc_info=error)
        unforeseen = ArtStoreError("something went wrong here; the log has it under this request id")
        return problem_response(unforeseen, request_id=request_id)
    response = problem_response(error, request_id=request_id)
    if response.status >= 500:
        _log.warning("request_failed", error=type(error).__name__, detail=error.detail)
    return response


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"
