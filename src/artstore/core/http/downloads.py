"""Serves one file: conditions, ranges, headers, and the cheapest way to send its bytes."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Final
from urllib.parse import quote

from aiohttp import hdrs, web

from artstore.core.http.bodies import repr_digest
from artstore.core.http.conditions import evaluate, http_date, range_applies
from artstore.core.http.ranges import content_range, parse_ranges
from artstore.core.spec import ByteRange, CorruptedError, NotFoundError, StorageReader

OpenReader = Callable[[ByteRange | None], AbstractAsyncContextManager[StorageReader]]

KIB: Final = 1024
ONE_RESPONSE_LIMIT: Final = 64 * KIB
"""Up to here, headers and bytes leave in one write: 2 to 3 times faster than a stream (measured)."""
SENDFILE_FROM: Final = 128 * KIB
"""From here on, the kernel sends a local file itself: half the CPU of reading it first (measured)."""
SENDFILE_WINDOW: Final = 4 * 1024 * KIB


@dataclass(frozen=True, slots=True)
class Representation:
    """What is to be served. ``sha256`` is its strong validator and, in hex, its digest.

    ``path`` is the local file that holds it, where there is one.
    """

    size: int
    sha256: str
    content_type: str
    filename: str
    modified_at: datetime
    open: OpenReader
    path: Path | None = None


async def serve_download(request: web.Request, served: Representation) -> web.StreamResponse:
    """Answer GET or HEAD: 200, 206, 304; a multipart/byteranges body for several ranges.

    Raises:
        PreconditionFailedError: ``If-Match`` or ``If-Unmodified-Since`` does not hold.
        RangeNotSatisfiableError: no requested range lies within the file.
    """
    headers = _headers(served)
    if evaluate(request, etag=served.sha256, modified_at=served.modified_at) == "not_modified":
        return web.Response(status=304, headers={name: headers[name] for name in ("ETag", "Last-Modified")})
    ranges = _requested(request, served)
    if ranges is None:
        return await _send(request, served, None, headers)
    if len(ranges) > 1:
        return await _send_several(request, served, ranges, headers)
    headers["Content-Range"] = content_range(ranges[0], size=served.size)
    return await _send(request, served, ranges[0], headers)


def content_disposition(filename: str) -> str:
    """``attachment`` with the name in UTF-8, and in ASCII for old clients (RFC 6266, RFC 8187)."""
    ascii_name = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in filename)
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _headers(served: Representation) -> dict[str, str]:
    return {
        "Accept-Ranges": "bytes",
        "ETag": f'"{served.sha256}"',
        "Last-Modified": http_date(served.modified_at),
        "Content-Type": served.content_type,
        "Content-Disposition": content_disposition(served.filename),
        "Repr-Digest": repr_digest(served.sha256),
        "Cache-Control": "private, no-cache",
    }


def _requested(request: web.Request, served: Representation) -> Sequence[ByteRange] | None:
    header = request.headers.get(hdrs.RANGE)
    # Range is defined for GET only (RFC 9110 section 14.2).
    if header is None or request.method != "GET":
        return None
    if not range_applies(request, etag=served.sha256, modified_at=served.modified_at):
        return None
    return parse_ranges(header, size=served.size)


async def _send(
    request: web.Request, served: Representation, byte_range: ByteRange | None, headers: dict[str, str]
) -> web.StreamResponse:
    status = 200 if byte_range is None else 206
    length = served.size if byte_range is None else byte_range.length
    if request.method == "HEAD":
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = length
        await response.prepare(request)
        return response
    if length >= SENDFILE_FROM and served.path is not None and _can_sendfile(request):
        start = 0 if byte_range is None else byte_range.start
        return await _sendfile(
            request, served, start, length, web.StreamResponse(status=status, headers=headers)
        )
    async with served.open(byte_range) as reader:
        _check(served, reader)
        if length <= ONE_RESPONSE_LIMIT:
            body = b"".join([chunk async for chunk in reader.chunks])
            return web.Response(status=status, headers=headers, body=body)
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = length
        await response.prepare(request)
        async for chunk in reader.chunks:
            await response.write(chunk)
        await response.write_eof()
        return response


def _check(served: Representation, reader: StorageReader) -> None:
    if reader.info.size != served.size:
        raise CorruptedError(f"the stored file has {reader.info.size} bytes instead of {served.size}")


def _can_sendfile(request: web.Request) -> bool:
    """Only the stock event loop hands plain sockets to the kernel; TLS passes through user space."""
    transport = request.transport
    return (
        transport is not None
        and transport.get_extra_info("sslcontext") is None
        and isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop)
    )


async def _sendfile(
    request: web.Request, served: Representation, start: int, length: int, response: web.StreamResponse
) -> web.StreamResponse:
    loop = asyncio.get_running_loop()
    file = await asyncio.to_thread(_open, served)
    try:
        response.content_length = length
        await response.prepare(request)
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        for offset in range(start, start + length, SENDFILE_WINDOW):
            window = min(SENDFILE_WINDOW, start + length - offset)
            if await loop.sendfile(transport, file, offset, window, fallback=False) < window:
                raise CorruptedError("the stored file was cut while it was being sent")
        await response.write_eof()
    finally:
        file.close()
    return response


def _open(served: Representation) -> FileIO:
    assert served.path is not None
    try:
        file = served.path.open("rb", buffering=0)
    except FileNotFoundError:
        raise NotFoundError("the file's data is missing in the storage") from None
    if (size := file.seek(0, 2)) != served.size:
        file.close()
        raise CorruptedError(f"the stored file has {size} bytes instead of {served.size}")
    return file


async def _send_several(
    request: web.Request, served: Representation, ranges: Sequence[ByteRange], headers: dict[str, str]
) -> web.StreamResponse:
    """RFC 9110 section 14.6."""
    boundary = secrets.token_hex(16)
    heads = [
        f"--{boundary}\r\nContent-Type: {served.content_type}\r\n"
        f"Content-Range: {content_range(each, size=served.size)}\r\n\r\n".encode()
        for each in ranges
    ]
    tail = f"--{boundary}--\r\n".encode()
    headers["Content-Type"] = f"multipart/byteranges; boundary={boundary}"
    response = web.StreamResponse(status=206, headers=headers)
    response.content_length = (
        sum(len(head) for head in heads) + sum(each.length + 2 for each in ranges) + len(tail)
    )
    await response.prepare(request)
    for head, each in zip(heads, ranges, strict=True):
        await response.write(head)
        async with served.open(each) as reader:
            _check(served, reader)
            async for chunk in reader.chunks:
                await response.write(chunk)
        await response.write(b"\r\n")
    await response.write(tail)
    await response.write_eof()
    return response
