"""Upload forms (RFC 7578): the fields before the file are read, the file itself is streamed."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import unquote

from aiohttp import hdrs, web
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header
from pydantic import BaseModel, Field

from artstore.core.attribute_fields import (
    DEFAULT_CONTENT_TYPE,
    Description,
    Filename,
    MediaType,
    Moment,
    Sha256,
)
from artstore.core.attributes import RetentionPolicy
from artstore.core.http.bodies import guarded_body
from artstore.core.http.uploads import disposition_filename, require_whole
from artstore.core.spec import ContentTooLargeError, InvalidRequestError
from artstore.core.upload_attributes import MAX_TTL_DAYS, UploadAttributes

FILE_PART: Final = "file"
MAX_PARTS: Final = 32
MAX_FIELDS_SIZE: Final = 1024 * 1024
"""Bytes of all fields together: as many as the largest sidecar may have."""

_IDENTITY_ENCODINGS: Final = ("", "7bit", "8bit", "binary")

_Event = MultipartSegment | bytes | None
"""The head of a part, bytes of it, its end."""

_Events = AsyncGenerator[_Event, None]


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, the head of its last part, the file, and the file's bytes as they come."""

    fields: dict[str, str]
    file: MultipartSegment
    content: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class UploadForm:
    """What the client says of its file, and the file's bytes as they come."""

    attributes: UploadAttributes
    content: AsyncIterator[bytes]


class UploadFormFields(BaseModel):
    """What an upload form may have, for the documentation. The file must be its last part."""

    description: Description | None = None
    tags: Annotated[str | None, Field(description="JSON list of texts.")] = None
    metadata: Annotated[str | None, Field(description="JSON object: the custom attributes.")] = None
    retention_policy: RetentionPolicy = "permanent"
    ttl_days: Annotated[int | None, Field(ge=1, le=MAX_TTL_DAYS)] = None
    expires_at: Annotated[
        Moment | None, Field(description="Until when a permanent file is kept. Default: for ever.")
    ] = None
    checksum: Annotated[Sha256 | None, Field(description="SHA-256 the file must have.")] = None
    original_filename: Annotated[
        Filename | None, Field(description="Default: the name that the part `file` has.")
    ] = None
    content_type: Annotated[
        MediaType | None, Field(description="Default: the type that the part `file` has, else sniffed.")
    ] = None
    file: Annotated[bytes, Field(description="The file itself.")]


async def read_upload_form(request: web.Request, *, limit: int | None, stall_timeout: float) -> UploadForm:
    """Read the form of an upload up to its file, as :func:`read_form` does.

    Raises:
        InvalidRequestError: as :func:`read_form`; or a field is malformed or unknown.
        ContentTooLargeError: the fields are too large.
    """
    form = await read_form(request, limit=limit, stall_timeout=stall_timeout)
    return UploadForm(attributes=_attributes(form.fields, form.file), content=form.content)


async def read_form(request: web.Request, *, limit: int | None, stall_timeout: float) -> Form:
    """Read a form up to its file, which must be its last part.

    ``content`` raises what :func:`~artstore.core.http.bodies.guarded_body` raises, and
    ``InvalidRequestError`` when the form goes wrong after the file's beginning. ``limit`` is for the
    file, in bytes; ``None`` leaves it to whoever stores it.

    Raises:
        InvalidRequestError: it is no form, or has no file.
        ContentTooLargeError: the fields are too large.
    """
    require_whole(request)
    body_limit = None if limit is None else limit + 2 * MAX_FIELDS_SIZE
    events = _events(request, guarded_body(request, limit=body_limit, stall_timeout=stall_timeout))
    fields, file = await _read_fields(events)
    _check_encoding(file)
    return Form(fields, file, _content(events, limit))


async def _events(request: web.Request, body: AsyncIterator[bytes]) -> _Events:
    try:
        parser = PushMultipartParser(_boundary(request), max_segment_count=MAX_PARTS)
        async for chunk in body:
            for event in parser.parse(chunk):
                yield event
        parser.close()
    except MultipartError as error:
        raise InvalidRequestError(f"the form is not valid multipart/form-data: {error}") from None


def _boundary(request: web.Request) -> str:
    media_type, parameters = parse_options_header(request.headers.get(hdrs.CONTENT_TYPE, ""))
    if media_type != "multipart/form-data":
        raise web.HTTPUnsupportedMediaType
    return parameters.get("boundary", "")


async def _read_fields(events: _Events) -> tuple[dict[str, str], MultipartSegment]:
    """The fields before the file, and the head of the file's part."""
    fields: dict[str, str] = {}
    size = 0
    while (part := await _next_part(events)) is not None:
        if part.name == FILE_PART:
            return fields, part
        if part.name in fields:
            raise _fault(part.name, "is given more than once: give it once")
        value = bytearray()
        async for chunk in _bytes(events):
            size += len(chunk)
            if size > MAX_FIELDS_SIZE:
                raise ContentTooLargeError(limit=MAX_FIELDS_SIZE, what="the form without its file")
            value += chunk
        fields[part.name] = _text(part.name, value)
    raise _fault(FILE_PART, "is required, as the last part of the form")


async def _next_part(events: _Events) -> MultipartSegment | None:
    """The head of the part that follows; ``None`` when the form is over."""
    async for event in events:
        assert isinstance(event, MultipartSegment)
        return event
    return None


async def _bytes(events: _Events) -> AsyncIterator[bytes]:
    """The bytes of the part whose head was read last."""
    async for event in events:
        if not isinstance(event, bytes):
            return
        yield event


async def _content(events: _Events, limit: int | None) -> AsyncIterator[bytes]:
    received = 0
    async for chunk in _bytes(events):
        received += len(chunk)
        if limit is not None and received > limit:
            raise ContentTooLargeError(limit=limit)
        yield chunk
    if (part := await _next_part(events)) is not None:
        raise _fault(part.name, f"comes after the file: send every field before the part {FILE_PART}")


def _attributes(fields: dict[str, str], file: MultipartSegment) -> UploadAttributes:
    """A field that says the same as the file's part has the last word."""
    said: dict[str, str] = {}
    if (filename := _filename(file)) is not None:
        said["original_filename"] = filename
    content_type = file.header(hdrs.CONTENT_TYPE, "")
    if content_type and content_type != DEFAULT_CONTENT_TYPE:
        said["content_type"] = content_type
    return UploadAttributes.from_form({**said, **fields})


def _filename(file: MultipartSegment) -> str | None:
    """``filename*`` is against RFC 7578, but widespread clients send it for names that are not ASCII."""
    disposition = file.header(hdrs.CONTENT_DISPOSITION, "") or ""
    if "filename*" in disposition.lower():
        return disposition_filename(disposition)
    return None if file.filename is None else _without_percents(file.filename)


def _without_percents(name: str) -> str:
    """``name`` decoded where a client has percent-encoded letters, as that of aiohttp does by default.

    Only what decodes to letters beyond ASCII was surely encoded: "100%25.txt" may be called just that.
    """
    try:
        decoded = unquote(name, errors="strict")
    except UnicodeDecodeError:
        return name
    return decoded if name.isascii() and not decoded.isascii() else name


def _check_encoding(file: MultipartSegment) -> None:
    """RFC 7578 section 4.7 deprecates transfer encodings; storing the encoded bytes would be wrong."""
    encoding = file.header("Content-Transfer-Encoding", "") or ""
    if encoding.lower() not in _IDENTITY_ENCODINGS:
        raise _fault(FILE_PART, "has a Content-Transfer-Encoding: send its bytes as they are")


def _text(name: str, value: bytearray) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _fault(name, "is not UTF-8") from None


def _fault(name: str, message: str) -> InvalidRequestError:
    shown = name[:100] if name.isprintable() else ascii(name[:100])[1:-1]
    return InvalidRequestError(f"{shown}: {message}", [(shown, message)])
