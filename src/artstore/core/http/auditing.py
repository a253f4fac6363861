"""Audits every request that is decided about or changes something: once, with its actor and its outcome."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import ValidationError
from yarl import URL

from artstore.core.audit.notes import Notes, taking_notes
from artstore.core.audit.record import Actor, Happening, Kind, Outcome, bounded
from artstore.core.audit.trail import AuditTrail
from artstore.core.http.addresses import client_address
from artstore.core.http.middlewares import CLIENT_CLOSED_REQUEST, Handler
from artstore.core.http.operations import Endpoint, Operation
from artstore.core.http.problems import status_of
from artstore.core.keys import AUDIT, ENDPOINTS, PRINCIPAL, REQUEST_ID
from artstore.core.spec import ArtStoreError, ForbiddenError, Principal

_REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})


@web.middleware
async def audit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Record what is decided of a request, and what it changed; a change is answered once that is on disk.

    Nothing is changed while no record could be kept. What is for everybody and changes nothing, such as the
    health, leaves a record only when it is refused.
    """
    trail = request.app.get(AUDIT)
    endpoint = request.app[ENDPOINTS].get(request.match_info.route)
    if trail is None or endpoint is None:
        return await handler(request)
    if endpoint.operation.is_change:
        trail.spool.require_room()
    with taking_notes(partial(_described, request, trail, endpoint)) as notes:
        return await _audited(request, handler, trail, endpoint, notes)


async def _audited(
    request: web.Request, handler: Handler, trail: AuditTrail, endpoint: Endpoint, notes: Notes
) -> web.StreamResponse:
    operation = endpoint.operation
    response, failure = None, None
    try:
        response = await handler(request)
        status = response.status
    except Exception as error:
        failure, status = error, status_of(error)
    except BaseException:  # cancelled: there is nobody to wait for
        if operation.is_audited:
            _record_soon(trail, _happening(request, endpoint, notes, CLIENT_CLOSED_REQUEST, None), notes)
        raise
    if operation.is_audited or status in _REFUSED:
        await _record(trail, _happening(request, endpoint, notes, status, failure), notes)
    if response is None:
        assert failure is not None, "a handler answers or raises"
        raise failure
    return response


async def _record(trail: AuditTrail, happening: Happening, notes: Notes) -> None:
    if happening.change is None and happening.outcome in ("allowed", "denied"):
        trail.add_decision(happening)
    else:
        await trail.add(happening)
        notes.pay()


def _record_soon(trail: AuditTrail, happening: Happening, notes: Notes) -> None:
    """What was done before its client went away is a debt all the same."""

    def pay(recorded: asyncio.Future[None]) -> None:
        if not recorded.cancelled() and recorded.exception() is None:
            notes.pay()

    trail.add_unawaited(happening).add_done_callback(pay)


def _happening(
    request: web.Request, endpoint: Endpoint, notes: Notes, status: int, failure: Exception | None
) -> Happening:
    kind, outcome = _judged(endpoint.operation, status)
    return notes.happening.model_copy(
        update={
            "occurred_at": datetime.now(UTC),
            "kind": kind,
            "outcome": outcome,
            "actor": _actor(request, notes),
            "status": status,
            "reason": notes.reason or _reason(failure),
            "detail": dict(notes.detail) or None,
            "change": None if notes.cause is None else notes.change,
        }
    )


def _described(request: web.Request, trail: AuditTrail, endpoint: Endpoint, notes: Notes) -> Happening:
    """As if it had succeeded."""
    operation = endpoint.operation
    kind, outcome = _judged(operation, HTTPStatus.OK)
    return Happening(
        occurred_at=datetime.now(UTC),
        kind=kind,
        event=operation.name,
        outcome=outcome,
        role=trail.role,
        actor=_actor(request, notes),
        client_address=bounded(client_address(request)),
        request_id=request[REQUEST_ID],
        method=operation.method,
        route=operation.path,
        resource=bounded(_resource(request, endpoint)),
        detail=dict(notes.detail) or None,
        change=notes.change,
    )


def _actor(request: web.Request, notes: Notes) -> Actor | None:
    principal = request.get(PRINCIPAL)
    return notes.actor if principal is None else _proven_actor(principal)


@lru_cache(maxsize=1024)
def _proven_actor(principal: Principal) -> Actor:
    """Kept, since a token proves the same in each of its requests, and a request asks twice."""
    return Actor.of(principal)


def _resource(request: web.Request, endpoint: Endpoint) -> str:
    """The path in the one spelling of RFC 3986 section 6.2.2, ids in theirs: nobody who writes it in another
    way hides from a search. Encoded, so that it has no line ends and whatever else confuses a reader.
    """
    resource = request.match_info.route.resource
    if endpoint.path_model is not None and resource is not None:
        with suppress(ValidationError):
            path = endpoint.path_model.model_validate(dict(request.match_info))
            return resource.url_for(**{name: str(value) for name, value in path}).raw_path
    return URL(request.rel_url.raw_path).raw_path


def _judged(operation: Operation, status: int) -> tuple[Kind, Outcome]:
    is_well = status < HTTPStatus.BAD_REQUEST
    if operation.takes_credentials and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        good: Outcome = "succeeded" if operation.is_change else "allowed"
        return "authentication", good if is_well else "denied"
    if status in _REFUSED:
        return "authentication" if status == HTTPStatus.UNAUTHORIZED else "authorization", "denied"
    if not operation.is_change:
        return "authorization", "allowed"
    return "sensitive_operation", "succeeded" if is_well else "failed"


def _reason(failure: Exception | None) -> str | None:
    """Our own words for it; the detail of an error may have a client's."""
    if isinstance(failure, ForbiddenError) and failure.scope:
        return f"lacks the scope {failure.scope}"
    return failure.code if isinstance(failure, ArtStoreError) else None
