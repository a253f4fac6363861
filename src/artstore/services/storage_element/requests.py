"""From HTTP requests to uploads: who sends what, under which id, in whose name."""

import base64
import binascii
from typing import Final
from uuid import UUID

from aiohttp import web

from artstore.core.exchange import DELEGATION_HEADER, Delegation
from artstore.core.http.bodies import guarded_body
from artstore.core.http.forms import MAX_FIELDS_SIZE, read_upload_form
from artstore.core.http.uploads import header_attributes
from artstore.core.ids import new_file_id
from artstore.core.keys import PRINCIPAL, SETTINGS
from artstore.core.spec import ForbiddenError, InvalidRequestError
from artstore.core.upload_attributes import MAX_ATTRIBUTES_HEADER
from artstore.core.validation import from_request
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.uploads import Creator, Upload

DELEGATION_SCOPE: Final = "uploads:delegate"


def raw_upload(request: web.Request, element: Element, file_id: UUID) -> Upload:
    """The upload whose body is the file, described by headers.

    Raises:
        InvalidRequestError: a header is malformed or missing.
        ForbiddenError: it is in another's name, without the right to that.
    """
    return Upload(
        file_id=file_id,
        attributes=header_attributes(request),
        creator=acting(request),
        size=request.content_length,
        description_limit=MAX_ATTRIBUTES_HEADER,
        body=guarded_body(
            request,
            limit=element.max_file_size,
            stall_timeout=request.app[SETTINGS].server.stall_timeout,
        ),
    )


async def form_upload(request: web.Request, element: Element) -> Upload:
    """The upload in a form, under a new id. Its file has not been read yet.

    Raises:
        InvalidRequestError: it is no form, or a field is wrong.
        ForbiddenError: it is in another's name, without the right to that.
    """
    creator = acting(request)
    form = await read_upload_form(
        request,
        limit=element.max_file_size,
        stall_timeout=request.app[SETTINGS].server.stall_timeout,
    )
    return Upload(
        file_id=new_file_id(),
        attributes=form.attributes,
        creator=creator,
        size=None,
        description_limit=MAX_FIELDS_SIZE,
        body=form.content,
    )


def acting(request: web.Request) -> Creator:
    """In whose name the request is sent.

    Raises:
        InvalidRequestError: a header is malformed.
        ForbiddenError: it is in another's name, without the right to that.
    """
    principal = request[PRINCIPAL]
    header = request.headers.get(DELEGATION_HEADER)
    if header is None:
        return Creator(id=principal.subject, username=principal.name or principal.client_id)
    if DELEGATION_SCOPE not in principal.scopes:
        raise ForbiddenError(
            f"acting in the name of another needs the scope {DELEGATION_SCOPE}", scope=DELEGATION_SCOPE
        )
    delegation = _delegation(header)
    return Creator(id=delegation.id, username=delegation.username, fullname=delegation.fullname)


def _delegation(header: str) -> Delegation:
    try:
        raw = base64.b64decode(header + "=" * (-len(header) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        message = "should be JSON encoded as base64url"
        raise InvalidRequestError(f"{DELEGATION_HEADER} {message}", [(DELEGATION_HEADER, message)]) from None
    return from_request(Delegation, raw)
