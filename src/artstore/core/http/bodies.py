"""Request bodies that are streamed: raw bytes and multipart forms, guarded against stalls and sizes."""

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncIterator
from time import monotonic
from typing import Final

from aiohttp import ClientPayloadError, HttpVersion11, hdrs, web
from aiohttp.http_exceptions import BadHttpMessage

from artstore.core.spec import (
    ContentTooLargeError,
    IncompleteBodyError,
    InvalidRequestError,
    RequestTimeoutError,
)

SLOWEST_RATE: Final = 256
"""Bytes per second of a body, while it is waited for."""
_ASKED: Final = web.RequestKey("body_asked_for", bool)
_SHA256: Final = re.compile(r"^\s*sha-256\s*=\s*:([A-Za-z0-9+/=]+):\s*(?:;.*)?$", re.IGNORECASE)


def content_length(request: web.Request) -> int | None:
    """The declared length in bytes, ``None`` when the body comes in chunks."""
    return request.content_length


def declared_sha256(request: web.Request) -> str | None:
    """The SHA-256 that ``Repr-Digest`` declares (RFC 9530), in hex; other algorithms are ignored.

    Raises:
        InvalidRequestError: there is one, but it is not a Base64 SHA-256.
    """
    for member in request.headers.get("Repr-Digest", "").split(","):
        if (match := _SHA256.match(member)) is not None:
            try:
                digest = base64.b64decode(match[1], validate=True)
            except binascii.Error:
                digest = b""
            if len(digest) == 32:
                return digest.hex()
            raise _bad_digest()
        if member.strip().lower().startswith("sha-256"):
            raise _bad_digest()
    return None


def repr_digest(sha256: str) -> str:
    """The value of ``Repr-Digest`` for a digest in hex."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"


async def leave_client_waiting(request: web.Request) -> None:
    """Expect handler of every route: who sends ``Expect: 100-continue`` waits until its body is wanted.

    So a large upload that is refused (no token, no room) costs its client nothing.
    """


async def ask_for_body(request: web.Request) -> None:
    """Tell a client that waits (RFC 9110 section 10.1.1) to send its body. It is told once."""
    if (
        request.get(_ASKED)
        or request.headers.get(hdrs.EXPECT, "").lower() != "100-continue"
        or request.version < HttpVersion11
    ):
        return
    request[_ASKED] = True
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # The answer itself has not begun.
    request.writer.output_size = 0


async def guarded_body(
    request: web.Request, *, limit: int | None, stall_timeout: float
) -> AsyncIterator[bytes]:
    """The raw body in chunks as they come. A client that waits is asked for it with the first.

    Who sends a byte now and then, to hold a connection for ever, is told from who is only slow by what
    came in all the time in which it was waited for.

    Raises:
        ContentTooLargeError: longer than ``limit`` bytes; ``None`` leaves that to others.
        RequestTimeoutError: nothing came for ``stall_timeout`` seconds, or in more than these less than
            ``SLOWEST_RATE`` bytes per second.
        IncompleteBodyError: the client went away before the end.
    """
    declared = request.content_length
    if declared is not None and limit is not None and declared > limit:
        raise ContentTooLargeError(limit=limit)
    await ask_for_body(request)
    received, waited = 0, 0.0
    content = request.content
    while True:
        started = monotonic()
        try:
            chunk = content.read_nowait()
            if not chunk and not content.at_eof():  # a timer only for what has to be waited for
                async with asyncio.timeout(stall_timeout):
                    chunk = await content.readany()
        except TimeoutError:
            raise RequestTimeoutError(
                f"no byte came for {stall_timeout:g} seconds; nothing was stored"
            ) from None
        except (ClientPayloadError, BadHttpMessage, ConnectionError, web.PayloadAccessError) as error:
            raise IncompleteBodyError("the body ended before its end; nothing was stored") from error
        if not chunk:
            return
        received += len(chunk)
        waited += monotonic() - started
        if waited > stall_timeout and received < waited * SLOWEST_RATE:
            raise RequestTimeoutError(f"less than {SLOWEST_RATE} bytes came per second; nothing was stored")
        if limit is not None and received > limit:
            raise ContentTooLargeError(limit=limit)
        yield chunk


def _bad_digest() -> InvalidRequestError:
    return InvalidRequestError(
        "Repr-Digest is not of the form sha-256=:<Base64 of 32 bytes>:", [("Repr-Digest", "RFC 9530 form")]
    )
