"""The operations of the ingester, and what each answers."""

from typing import Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from artstore.core.audit.notes import note
from artstore.core.exchange import POSITION_HEADER, UploadAnswer
from artstore.core.http.forms import UploadFormFields
from artstore.core.http.operations import JSON, Answer, Operation, json_response
from artstore.core.http.uploads import UPLOAD_HEADERS
from artstore.core.keys import SETTINGS
from artstore.core.spec import (
    AlreadyExistsError,
    ChecksumMismatchError,
    ContentTooLargeError,
    IncompleteBodyError,
    InsufficientStorageError,
    InvalidRequestError,
    RequestTimeoutError,
    UnavailableError,
    UpstreamError,
)
from artstore.services.ingester.keys import INGESTER
from artstore.services.ingester.requests import IDEMPOTENCY_HEADER, form_upload, raw_upload
from artstore.services.ingester.upload import Delivered


class FilePath(BaseModel):
    """Which file."""

    file_id: UUID


async def upload_form(request: web.Request) -> web.Response:
    """Store a file that is sent in a form, under a new id.

    The part `file` comes last, after every field.
    """
    return _answer(request, await request.app[INGESTER].store(await form_upload(request)))


async def upload_file(request: web.Request) -> web.Response:
    """Store the body as a file, under a new id, or under the one that belongs to an `Idempotency-Key`.

    Sending the same content with the same key again answers 200 and stores nothing.
    """
    return _answer(request, await request.app[INGESTER].store(raw_upload(request)))


async def put_content(request: web.Request, path: FilePath) -> web.Response:
    """Store the body as a file under an id that the client chose.

    Sending the same content again answers 200 and stores nothing.
    """
    return _answer(request, await request.app[INGESTER].store(raw_upload(request, path.file_id)))


def _answer(request: web.Request, delivered: Delivered) -> web.Response:
    answer = UploadAnswer.of(delivered.stored)
    note(file_id=str(answer.file_id), element_id=answer.element_id)
    location = f"{request.app[SETTINGS].url('query')}/api/v1/files/{answer.file_id}"
    return json_response(
        answer,
        status=201 if delivered.is_new else 200,
        headers={POSITION_HEADER: answer.position, "Location": location},
    )


_HEADERS: Final = {
    POSITION_HEADER: "Send it as `at_least` with a search that must find the file.",
    "Location": "The metadata of the file.",
}
_STORED: Final = Answer("Stored.", {JSON: UploadAnswer}, _HEADERS)
_KNOWN: Final = Answer("This very content is stored under this id already.", {JSON: UploadAnswer}, _HEADERS)
_PROBLEMS: Final = (
    ChecksumMismatchError,
    ContentTooLargeError,
    IncompleteBodyError,
    InsufficientStorageError,
    InvalidRequestError,
    RequestTimeoutError,
    UnavailableError,
    UpstreamError,
)
_RAW: Final = {"application/octet-stream": None}
_IDEMPOTENCY: Final = {IDEMPOTENCY_HEADER: "1 to 255 characters; the same key is the same file."}

OPERATIONS: Final = (
    Operation(
        "POST",
        "/api/v1/files/upload",
        upload_form,
        scope="files:write",
        problems=_PROBLEMS,
        answers={201: _STORED},
        request_content={"multipart/form-data": UploadFormFields},
        streams_body=True,
    ),
    Operation(
        "POST",
        "/api/v1/files",
        upload_file,
        scope="files:write",
        problems=(*_PROBLEMS, AlreadyExistsError),
        answers={201: _STORED, 200: _KNOWN},
        request_content=_RAW,
        request_headers={**UPLOAD_HEADERS, **_IDEMPOTENCY},
        streams_body=True,
    ),
    Operation(
        "PUT",
        "/api/v1/files/{file_id}/content",
        put_content,
        scope="files:write",
        problems=(*_PROBLEMS, AlreadyExistsError),
        answers={201: _STORED, 200: _KNOWN},
        request_content=_RAW,
        request_headers=UPLOAD_HEADERS,
        streams_body=True,
    ),
)
