"""Serves one file: conditions, ranges, headers, and the cheapest way to send its bytes."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from aiohttp import hdrs, web

from artstore.core.http.bodies import repr_digest
from artstore.core.http.conditions import evaluate, http_date, range_applies
from artstore.core.http.ranges import content_range, parse_ranges
from artstore.core.http.representation import Representation
from artstore.core.http.sending import SENDFILE_FROM, can_sendfile, send_chunks, send_file
from artstore.core.spec import ByteRange

KIB: Final = 1024
ONE_RESPONSE_LIMIT: Final = 64 * KIB
"""Up to here, headers and bytes leave in one write: 2 to 3 times faster than a stream (measured)."""


async def serve_download(request: web.Request, served: Representation) -> web.StreamResponse:
    """Answer GET or HEAD: 200, 206, 304; a multipart/byteranges body for several ranges.

    Raises:
        PreconditionFailedError: ``If-Match`` or ``If-Unmodified-Since`` does not hold.
        RangeNotSatisfiableError: no requested range lies within the file.
        CorruptedError: the whole file was asked for and has another size or digest than it should
            have. Once the answer is on its way, that breaks the connection before the last byte. Ranges
            are given as they are: what proves them is the digest of the whole.
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
        response = _stream(status, headers, length)
        await response.prepare(request)
        return response
    if length >= SENDFILE_FROM and served.open_file is not None and can_sendfile(request):
        response = _stream(status, headers, length)
        await send_file(request, response, served, byte_range)
        return response
    is_whole = length == served.size
    async with served.open(byte_range) as reader:
        served.check_size(reader.info.size)
        if length <= ONE_RESPONSE_LIMIT:
            body = b"".join([chunk async for chunk in reader.chunks])
            if is_whole:
                served.check_digest(hashlib.sha256(body).hexdigest())
            return web.Response(status=status, headers=headers, body=body)
        response = _stream(status, headers, length)
        await send_chunks(request, response, served, reader.chunks, is_whole=is_whole)
        return response


def _stream(status: int, headers: Mapping[str, str], length: int) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = length
    return response


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
    length = sum(len(head) for head in heads) + sum(each.length + 2 for each in ranges) + len(tail)
    response = _stream(206, headers, length)
    await response.prepare(request)
    for head, each in zip(heads, ranges, strict=True):
        await response.write(head)
        async with served.open(each) as reader:
            served.check_size(reader.info.size)
            async for chunk in reader.chunks:
                await response.write(chunk)
        await response.write(b"\r\n")
    await response.write(tail)
    await response.write_eof()
    return response
