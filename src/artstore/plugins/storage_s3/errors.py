"""What the SDK raises, as domain errors: a reason, never a key or the name of a bucket."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from aiohttp import ClientError as HttpError
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from artstore.core.spec import (
    ArtStoreError,
    InsufficientStorageError,
    NotFoundError,
    PreconditionFailedError,
    RangeNotSatisfiableError,
    UnavailableError,
)


class CircularRedirectError(Exception):
    """Whoever asks where the bucket is, is sent away again."""


STUMBLES: Final = (AttributeError, CircularRedirectError, LookupError, ValueError)
"""What comes of answers that S3 does not give: dates that are none, redirects in a circle."""
SDK_ERRORS: Final = (
    *(ClientError, BotoCoreError, ResponseParserError, HttpError, TimeoutError, OSError),
    *STUMBLES,
)
ABSENT: Final = frozenset({"NoSuchKey", "NotFound", "404"})
"""The answer to HEAD has no body: there, the status is all that is known."""
FULL: Final = frozenset({"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "507"})
REFUSED: Final = frozenset({400, 401, 403, 405, 409, 411, 501})

RETRY_AFTER: Final = 5.0
"""Seconds after which a client may come back, where the service does not say."""


@contextmanager
def domain_errors() -> Generator[None, None, None]:
    """Raise what the SDK raises as domain errors."""
    try:
        yield
    except SDK_ERRORS as error:
        raise domain_error(error) from error


def domain_error(error: BaseException) -> ArtStoreError:
    if not isinstance(error, ClientError):
        reason = "timed out" if isinstance(error, TimeoutError) else f"failed ({type(error).__name__})"
        return UnavailableError(f"the storage {reason}", retry_after=RETRY_AFTER)
    code = error_code(error)
    if code in ABSENT:
        return NotFoundError("there is no such object")
    if code in FULL:
        return InsufficientStorageError(f"the storage has no room ({code}); nothing was stored")
    return _by_status(code, status(error), error)


def _by_status(code: str, status: int, error: ClientError) -> ArtStoreError:
    if status == 412:
        return PreconditionFailedError("the object is not the one that was asked for")
    if status == 416:
        return RangeNotSatisfiableError(size=0)
    verb = "refused the request" if status in REFUSED else "failed"
    return UnavailableError(f"the storage {verb} ({code})", retry_after=_retry_after(error))


def error_code(error: ClientError) -> str:
    """The code of S3 (``NoSuchKey``), or the HTTP status as text where there is none."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def status(error: ClientError) -> int:
    """The HTTP status."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _retry_after(error: ClientError) -> float:
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        return max(0.0, float(headers.get("retry-after", RETRY_AFTER)))
    except ValueError:
        return RETRY_AFTER
