"""What the headers of a raw upload say of the file that is its body."""

from typing import Final
from urllib.parse import unquote

from aiohttp import hdrs, web
from multipart import parse_options_header
from pydantic import TypeAdapter, ValidationError

from artstore.core.attribute_fields import DEFAULT_CONTENT_TYPE, MediaType
from artstore.core.http.bodies import declared_sha256
from artstore.core.spec import InvalidRequestError
from artstore.core.upload_attributes import ATTRIBUTES_HEADER, UploadAttributes

UPLOAD_HEADERS: Final = {
    ATTRIBUTES_HEADER: "What is known of the file, JSON as base64url; needs `original_filename`.",
    "Content-Disposition": "Its `filename*` or `filename` is the name when there is no Artstore-Attributes.",
    "Repr-Digest": "`sha-256=:<Base64>:` (RFC 9530); the bytes must have it.",
}
"""For the documentation of operations that call :func:`header_attributes`."""

_MEDIA_TYPE: Final = TypeAdapter[str](MediaType)


def header_attributes(request: web.Request) -> UploadAttributes:
    """What the headers say: ``Artstore-Attributes``, else ``Content-Disposition``; type and digest.

    Raises:
        InvalidRequestError: there is no name, two headers contradict each other, or one is malformed.
        ContentTooLargeError: ``Artstore-Attributes`` is too long.
    """
    attributes = _attributes(request)
    found = {"content_type": _content_type(request), "checksum": declared_sha256(request)}
    if attributes.checksum is not None and found["checksum"] not in (None, attributes.checksum):
        raise _fault("Repr-Digest", "is another digest than the checksum in the attributes")
    missing = {name: value for name, value in found.items() if value and getattr(attributes, name) is None}
    return attributes.model_copy(update=missing) if missing else attributes


def disposition_filename(value: str) -> str | None:
    """The file's name in a ``Content-Disposition`` (RFC 6266): ``filename*`` before ``filename``.

    Raises:
        InvalidRequestError: ``filename*`` is not of the form of RFC 8187.
    """
    _, parameters = parse_options_header(value)
    extended = parameters.get("filename*")
    if extended is None:
        return parameters.get("filename")
    try:
        charset, _, encoded = extended.split("'", 2)
        return unquote(encoded, charset, "strict")
    except (ValueError, LookupError):
        raise _fault("Content-Disposition", "has a filename* that is not UTF-8''<percent-encoded>") from None


def _attributes(request: web.Request) -> UploadAttributes:
    if (header := request.headers.get(ATTRIBUTES_HEADER)) is not None:
        return UploadAttributes.from_header(header)
    filename = disposition_filename(request.headers.get(hdrs.CONTENT_DISPOSITION, ""))
    if filename is None:
        raise InvalidRequestError(
            "the file has no name: send original_filename in Artstore-Attributes, or Content-Disposition",
            [("original_filename", "is required")],
        )
    return UploadAttributes.from_form({"original_filename": filename})


def _content_type(request: web.Request) -> str | None:
    """What clients send that know nothing of the file says nothing of it."""
    value = request.headers.get(hdrs.CONTENT_TYPE)
    if not value or value == DEFAULT_CONTENT_TYPE:
        return None
    try:
        return _MEDIA_TYPE.validate_python(value)
    except ValidationError:
        raise _fault("Content-Type", "must be a media type such as application/pdf") from None


def _fault(name: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name} {message}", [(name, message)])
