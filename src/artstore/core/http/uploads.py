"""What the headers of a raw upload say of the file that is its body."""

import warnings
from typing import Final

from aiohttp import content_disposition_filename, hdrs, parse_content_disposition, web
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
        InvalidRequestError: there is no name, two headers contradict each other, one is malformed, or the
            body is only a part.
        ContentTooLargeError: ``Artstore-Attributes`` is too long.
    """
    require_whole(request)
    attributes = _attributes(request)
    found = {"content_type": _content_type(request), "checksum": declared_sha256(request)}
    if attributes.checksum is not None and found["checksum"] not in (None, attributes.checksum):
        raise _fault("Repr-Digest", "is another digest than the checksum in the attributes")
    missing = {name: value for name, value in found.items() if value and getattr(attributes, name) is None}
    return attributes.model_copy(update=missing) if missing else attributes


def require_whole(request: web.Request) -> None:
    """Refuse what is compressed or a part: of such a body, the bytes are not the file's.

    Raises:
        InvalidRequestError: it is a part of something (RFC 9110 section 14.5).
    """
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
        raise web.HTTPUnsupportedMediaType
    if hdrs.CONTENT_RANGE in request.headers:
        raise InvalidRequestError("a part of a file cannot be stored", [("Content-Range", "leave it out")])


def disposition_filename(value: str) -> str | None:
    """The file's name in a ``Content-Disposition`` (RFC 6266): ``filename*`` before ``filename``."""
    with warnings.catch_warnings():
        # The parser warns of what it cannot read; here, that is the client's to learn, not the operator's.
        warnings.simplefilter("ignore")
        _, parameters = parse_content_disposition(value)
    return content_disposition_filename(parameters)


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
