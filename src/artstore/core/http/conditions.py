"""Conditional requests (RFC 9110 section 13): is the client's copy still good, may it be changed?"""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final, Literal

from aiohttp import ETag, hdrs, web

from artstore.core.spec import PreconditionFailedError

Outcome = Literal["send", "not_modified"]
_ANY: Final = "*"


def evaluate(request: web.Request, *, etag: str, modified_at: datetime) -> Outcome:
    """Evaluate ``If-Match``, ``If-Unmodified-Since``, ``If-None-Match``, ``If-Modified-Since``.

    In the order of RFC 9110 section 13.2.2. ``etag`` is strong, without quotes. Only GET and HEAD can find
    that a copy is still good: what changes something is refused instead.

    Raises:
        PreconditionFailedError: the representation is not the one the client wants.
    """
    modified_at = modified_at.astimezone(UTC).replace(microsecond=0)
    if request.if_match is not None:
        if not _matches(request.if_match, etag, weak=False):
            raise PreconditionFailedError(f'If-Match does not hold: the current ETag is "{etag}"')
    elif (since := request.if_unmodified_since) is not None and modified_at > since:
        raise PreconditionFailedError("If-Unmodified-Since does not hold: it has been modified since")
    reads = request.method in ("GET", "HEAD")
    if request.if_none_match is not None:
        if not _matches(request.if_none_match, etag, weak=True):
            return "send"
        if not reads:
            raise PreconditionFailedError(f'If-None-Match does not hold: the current ETag is "{etag}"')
        return "not_modified"
    if reads and (since := request.if_modified_since) is not None and modified_at <= since:
        return "not_modified"
    return "send"


def range_applies(request: web.Request, *, etag: str, modified_at: datetime) -> bool:
    """Whether ``Range`` is to be honoured: ``If-Range`` is absent or names this very representation."""
    condition = request.headers.get(hdrs.IF_RANGE)
    if condition is None:
        return True
    if condition.startswith(('"', "W/")):
        return condition == f'"{etag}"'
    return condition == http_date(modified_at)


def http_date(moment: datetime) -> str:
    """``moment`` as an HTTP date (RFC 9110 section 5.6.7)."""
    return format_datetime(moment.astimezone(UTC).replace(microsecond=0), usegmt=True)


def _matches(conditions: Sequence[ETag], etag: str, *, weak: bool) -> bool:
    return any(
        condition.value in (_ANY, etag) and (weak or not condition.is_weak) for condition in conditions
    )
