"""From HTTP requests to uploads: who sends what, under which id."""

import re
from functools import lru_cache
from typing import Final
from uuid import UUID

from aiohttp import hdrs, web

from artstore.core.exchange import Delegation
from artstore.core.http.bodies import guarded_body
from artstore.core.http.forms import read_upload_form
from artstore.core.http.uploads import UPLOAD_HEADERS, header_attributes
from artstore.core.ids import idempotent_file_id, new_file_id
from artstore.core.keys import PRINCIPAL, SETTINGS
from artstore.core.spec import ContentTooLargeError, InvalidRequestError, Principal
from artstore.core.upload_attributes import ATTRIBUTES_HEADER, UploadAttributes
from artstore.services.ingester.upload import Upload

IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
MAX_NAME_LENGTH: Final = 255
_VALID_KEY: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")
_PASSED_ON: Final = (*UPLOAD_HEADERS, hdrs.CONTENT_TYPE)


def raw_upload(request: web.Request, file_id: UUID | None = None) -> Upload:
    """The upload whose body is the file; its headers are the element's to read as well.

    Raises:
        InvalidRequestError: a header is malformed or missing.
        ContentTooLargeError: the attributes are too long.
    """
    attributes = header_attributes(request)
    chosen = file_id or _idempotent_id(request)
    return Upload(
        file_id=chosen or new_file_id(),
        may_be_known=chosen is not None,
        attributes=attributes,
        delegation=_delegation(request[PRINCIPAL]),
        headers={name: request.headers[name] for name in _PASSED_ON if name in request.headers},
        size=request.content_length,
        chunks=guarded_body(request, limit=None, stall_timeout=_stall_timeout(request)),
    )


async def form_upload(request: web.Request) -> Upload:
    """The upload in a form, under a new id. Its file has not been read yet.

    Raises:
        InvalidRequestError: it is no form, or a field is wrong.
        ContentTooLargeError: the fields are too large.
    """
    form = await read_upload_form(request, limit=None, stall_timeout=_stall_timeout(request))
    return Upload(
        file_id=new_file_id(),
        may_be_known=False,
        attributes=form.attributes,
        delegation=_delegation(request[PRINCIPAL]),
        headers=_headers(form.attributes),
        size=None,
        chunks=form.content,
    )


def _idempotent_id(request: web.Request) -> UUID | None:
    key = idempotency_key(request)
    return None if key is None else idempotent_file_id(request[PRINCIPAL].client_id, key)


def idempotency_key(request: web.Request) -> str | None:
    """The key that a client has given to its request.

    Raises:
        InvalidRequestError: it is malformed.
    """
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if key is not None and _VALID_KEY.fullmatch(key) is None:
        message = "must be 1 to 255 printable ASCII characters"
        raise InvalidRequestError(f"{IDEMPOTENCY_HEADER} {message}", [(IDEMPOTENCY_HEADER, message)])
    return key


def _headers(attributes: UploadAttributes) -> dict[str, str] | None:
    try:
        return {ATTRIBUTES_HEADER: attributes.encode_header()}
    except ContentTooLargeError:
        return None


@lru_cache(maxsize=1024)
def _delegation(principal: Principal) -> str:
    """The uploader's name for the element: the file is theirs, not the ingester's."""
    name = (principal.name or principal.client_id)[:MAX_NAME_LENGTH]
    return Delegation(id=principal.subject, username=name).encode_header()


def _stall_timeout(request: web.Request) -> float:
    return request.app[SETTINGS].server.stall_timeout
