"""Errors as RFC 9457 problems: one table from domain errors to statuses, and back."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final

import orjson
from aiohttp import web
from pydantic import BaseModel, Field

from artstore.core.spec import (
    AlreadyExistsError,
    ArtStoreError,
    BeingFinalizedError,
    ChecksumMismatchError,
    ContentTooLargeError,
    CorruptedError,
    ForbiddenError,
    IncompleteBodyError,
    InsufficientStorageError,
    InvalidRequestError,
    LockedOutError,
    LoginRefusedError,
    ModeNotAllowedError,
    ModeTransitionNotAllowedError,
    NotFoundError,
    PasswordExpiredError,
    PreconditionFailedError,
    RangeNotSatisfiableError,
    RequestTimeoutError,
    RetentionActiveError,
    SidecarDiffersError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedError,
    UpstreamError,
)

CONTENT_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:artstore:problem:"
LONGEST_PAUSE: Final = 86400.0
"""Seconds after which a client may come again, however long whoever is behind us wants to be left alone."""


@dataclass(frozen=True, slots=True)
class ProblemType:
    """What every problem of one code shares."""

    status: int
    title: str


PROBLEM_TYPES: Final[Mapping[type[ArtStoreError], ProblemType]] = {
    ArtStoreError: ProblemType(500, "Internal error"),
    NotFoundError: ProblemType(404, "Not found"),
    AlreadyExistsError: ProblemType(409, "Already exists"),
    PreconditionFailedError: ProblemType(412, "Precondition failed"),
    InvalidRequestError: ProblemType(400, "Invalid request"),
    ChecksumMismatchError: ProblemType(422, "Checksum mismatch"),
    UnauthenticatedError: ProblemType(401, "Unauthenticated"),
    ForbiddenError: ProblemType(403, "Forbidden"),
    LoginRefusedError: ProblemType(401, "Login refused"),
    PasswordExpiredError: ProblemType(403, "Password has to be changed"),
    LockedOutError: ProblemType(423, "Locked out"),
    ModeNotAllowedError: ProblemType(409, "Mode does not allow this"),
    ModeTransitionNotAllowedError: ProblemType(409, "No such change of mode"),
    RetentionActiveError: ProblemType(409, "The file must be kept"),
    BeingFinalizedError: ProblemType(409, "Being finalized"),
    SidecarDiffersError: ProblemType(409, "The sidecar is another one"),
    RangeNotSatisfiableError: ProblemType(416, "Range not satisfiable"),
    ContentTooLargeError: ProblemType(413, "Content too large"),
    IncompleteBodyError: ProblemType(400, "Incomplete body"),
    RequestTimeoutError: ProblemType(408, "Request timeout"),
    TooManyRequestsError: ProblemType(429, "Too many requests"),
    InsufficientStorageError: ProblemType(507, "Insufficient storage"),
    UnsupportedError: ProblemType(501, "Not supported"),
    CorruptedError: ProblemType(500, "Stored data is damaged"),
    UpstreamError: ProblemType(502, "Another role failed"),
    UnavailableError: ProblemType(503, "Temporarily unavailable"),
}


class FieldProblem(BaseModel):
    """One field to change."""

    path: str
    message: str


class Problem(BaseModel):
    """An RFC 9457 problem document."""

    type: Annotated[str, Field(description="`urn:artstore:problem:` and a stable code.")]
    title: str
    status: int
    detail: str | None = None
    instance: Annotated[str | None, Field(description="The request id.")] = None
    errors: list[FieldProblem] | None = None


class RemoteError(ArtStoreError):
    """A problem that another role answered with, passed on as it is."""

    def __init__(self, problem: Problem, *, retry_after: float | None = None) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem
        self.retry_after = retry_after

    @property
    def remote_code(self) -> str:
        """The stable code of the problem."""
        return self.problem.type.removeprefix(TYPE_PREFIX)


def status_of(error: Exception) -> int:
    """The status that ``error`` is answered with."""
    if isinstance(error, RemoteError):
        return error.problem.status
    if isinstance(error, web.HTTPException):
        return error.status
    return _kind(error).status if isinstance(error, ArtStoreError) else HTTPStatus.INTERNAL_SERVER_ERROR


def is_server_error(error: ArtStoreError) -> bool:
    """Whether it is not the client who has to change something: it is answered with a 5xx."""
    return status_of(error) >= HTTPStatus.INTERNAL_SERVER_ERROR


def problem_response(error: ArtStoreError, *, request_id: str) -> web.Response:
    """Render ``error``; what a 5xx shows is its title, and its detail only where it helps the client."""
    problem = _problem(error, request_id)
    return web.Response(
        status=problem.status,
        body=orjson.dumps(problem.model_dump(exclude_none=True)),
        headers=_headers(error),
        content_type=CONTENT_TYPE,
    )


def http_error_response(error: web.HTTPException, *, request_id: str) -> web.Response:
    """Render what the framework itself refuses: unknown routes, methods, oversize bodies."""
    status = HTTPStatus(error.status)
    problem = Problem(
        type=f"{TYPE_PREFIX}{status.phrase.lower().replace(' ', '-')}",
        title=status.phrase,
        status=error.status,
        detail=_framework_detail(error),
        instance=request_id,
    )
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return web.Response(
        status=error.status,
        body=orjson.dumps(problem.model_dump(exclude_none=True)),
        headers=headers,
        content_type=CONTENT_TYPE,
    )


def remote_error(
    status: int, body: bytes, headers: Mapping[str, str], *, is_role: bool = True
) -> ArtStoreError:
    """The error another role answered with, to a role or to a person.

    What is about the client's request, or about damaged data, is passed on; what is about that role
    becomes ``UpstreamError`` or ``UnavailableError``. So does what is about our own permissions, when we
    are a role. An answer to HEAD says no more than its status.
    """
    try:
        problem = _told(status, body, headers)
    except ValueError:
        return UpstreamError(f"another role answered {status} without saying why")
    if status in (401, 403) and is_role:
        return UpstreamError(f"another role refused our own credentials: {problem.detail}")
    if status == HTTPStatus.TOO_MANY_REQUESTS and is_role:
        return UnavailableError("another role is asked too often", retry_after=retry_after(headers))
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return UnavailableError(problem.detail or problem.title, retry_after=retry_after(headers))
    if problem.type == TYPE_PREFIX + CorruptedError.code:
        # About the file, not about that role: asking again, or another role, does not help.
        return CorruptedError(problem.detail or problem.title)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.INSUFFICIENT_STORAGE:
        return UpstreamError(f"another role failed: {problem.title}")
    return RemoteError(problem)


def _told(status: int, body: bytes, headers: Mapping[str, str]) -> Problem:
    if not body and headers.get("Content-Type", "").startswith(CONTENT_TYPE):
        return Problem(type="about:blank", title=HTTPStatus(status).phrase, status=status)
    return Problem.model_validate_json(body)


def _problem(error: ArtStoreError, request_id: str) -> Problem:
    if isinstance(error, RemoteError):
        return error.problem.model_copy(update={"instance": request_id})
    kind = _kind(error)
    return Problem(
        type=TYPE_PREFIX + error.code,
        title=kind.title,
        status=kind.status,
        detail=error.detail,
        instance=request_id,
        errors=[FieldProblem(path=path, message=message) for path, message in error.errors] or None
        if isinstance(error, InvalidRequestError)
        else None,
    )


def _kind(error: ArtStoreError) -> ProblemType:
    """An error that refines one of the table is answered like that one."""
    return next(PROBLEM_TYPES[each] for each in type(error).__mro__ if each in PROBLEM_TYPES)


def _headers(error: ArtStoreError) -> dict[str, str]:
    if isinstance(error, LoginRefusedError):
        return {"WWW-Authenticate": 'Bearer realm="artstore"'}  # no token was sent that could be invalid
    if isinstance(error, UnauthenticatedError):
        return {"WWW-Authenticate": 'Bearer realm="artstore", error="invalid_token"'}  # RFC 6750 section 3
    if isinstance(error, ForbiddenError) and error.scope:
        return {
            "WWW-Authenticate": f'Bearer realm="artstore", error="insufficient_scope", scope="{error.scope}"'
        }
    if isinstance(error, RangeNotSatisfiableError):
        return {"Content-Range": f"bytes */{error.size}"}
    if isinstance(error, TooManyRequestsError | LockedOutError | UnavailableError):
        return {"Retry-After": str(math.ceil(min(max(1, error.retry_after), LONGEST_PAUSE)))}
    return {}


def _framework_detail(error: web.HTTPException) -> str | None:
    details: dict[int, str] = {
        404: "there is nothing at this path; /api/v1/openapi.json lists what there is",
        405: "this path does not have this method; the Allow header lists those it has",
        415: "a body of this type or encoding is not taken here; /api/v1/openapi.json lists what is",
    }
    return details.get(error.status)


def retry_after(headers: Mapping[str, Any]) -> float:
    """The seconds of ``Retry-After``; 1 without, or with anything else."""
    value = str(headers.get("Retry-After", ""))
    return float(value) if value.isdecimal() else 1.0
