"""The operations with which admin makes files permanent."""

from typing import Annotated, Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, Field

from artstore.core.attributes import FileAttributes
from artstore.core.exchange import StoredFile
from artstore.core.finalization import StepOrder
from artstore.core.http.forms import FILE_PART, read_form
from artstore.core.http.operations import JSON, Answer, Operation
from artstore.core.keys import SETTINGS
from artstore.core.spec import (
    AlreadyExistsError,
    ChecksumMismatchError,
    ContentTooLargeError,
    CorruptedError,
    IncompleteBodyError,
    InsufficientStorageError,
    InvalidRequestError,
    NotFoundError,
    PreconditionFailedError,
    RequestTimeoutError,
    RetentionActiveError,
    SidecarDiffersError,
    UnsupportedError,
)
from artstore.services.storage_element import answers
from artstore.services.storage_element.copies import Copy, store_copy
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.finalizing import take_step
from artstore.services.storage_element.keys import ELEMENT
from artstore.services.storage_element.small_objects import READ_LIMIT

ATTRIBUTES_PART: Final = "attributes"


class FilePath(BaseModel):
    """Which file."""

    file_id: UUID


class CopyForm(BaseModel):
    """The form of a copy, for the documentation. The file must be its last part."""

    attributes: Annotated[str, Field(description="The sidecar, as JSON; it says what it is a copy of.")]
    file: Annotated[bytes, Field(description="The data.")]


async def take_finalization_step(request: web.Request, path: FilePath, body: StepOrder) -> web.Response:
    """Take one step in making a file permanent. Taking it again changes nothing.

    The steps `begin` and `remove` need a mode that allows `delete`, too.
    """
    element = request.app[ELEMENT]
    with element.metrics.measure("update"):
        committed = await take_step(element, path.file_id, body)
    return answers.stored_file(element, committed)


async def put_copy(request: web.Request, path: FilePath) -> web.Response:
    """Store a copy of a file that another element is about to give up, with the sidecar it has there.

    It stays temporary until its finalization finishes it. Sending it again answers 200.
    """
    element = request.app[ELEMENT]
    with element.metrics.measure("upload") as measurement:
        stored = await store_copy(element, await _copy(request, element, path.file_id))
        measurement.size = stored.size
    return answers.stored_file(element, stored.committed, status=201 if stored.is_new else 200)


async def _copy(request: web.Request, element: Element, file_id: UUID) -> Copy:
    """The copy in a form. Its data has not been read yet.

    Raises:
        InvalidRequestError: it is no form, or does not say of what it is a copy.
    """
    form = await read_form(
        request,
        limit=element.max_file_size,
        stall_timeout=request.app[SETTINGS].server.stall_timeout,
    )
    if form.fields.keys() != {ATTRIBUTES_PART}:
        raise _fault(f"must be the only part before {FILE_PART}")
    try:
        attributes, _ = FileAttributes.from_storage(form.fields[ATTRIBUTES_PART].encode(), limit=READ_LIMIT)
    except (CorruptedError, UnsupportedError) as error:
        raise _fault(f"is no sidecar: {error.detail}") from None
    finalization = attributes.retention.finalization
    if attributes.file_id != file_id or finalization is None or finalization.copy_of is None:
        raise _fault("must be the sidecar of this file, with retention.finalization.copy_of")
    return Copy(attributes, form.content)


def _fault(message: str) -> InvalidRequestError:
    return InvalidRequestError(f"{ATTRIBUTES_PART}: {message}", [(ATTRIBUTES_PART, message)])


_STORED: Final = {JSON: StoredFile}

FINALIZATION_OPERATIONS: Final = (
    Operation(
        "POST",
        "/api/v1/files/{file_id}/finalization",
        take_finalization_step,
        scope="storage:finalize",
        problems=(
            CorruptedError,
            InsufficientStorageError,
            NotFoundError,
            PreconditionFailedError,
            RetentionActiveError,
            SidecarDiffersError,
        ),
        answers={200: Answer("The file as it is now.", _STORED)},
        allowed_as="update",
    ),
    Operation(
        "PUT",
        "/api/v1/files/{file_id}/copy",
        put_copy,
        scope="storage:finalize",
        problems=(
            AlreadyExistsError,
            ChecksumMismatchError,
            ContentTooLargeError,
            IncompleteBodyError,
            InsufficientStorageError,
            InvalidRequestError,
            RequestTimeoutError,
            SidecarDiffersError,
        ),
        answers={
            201: Answer("Stored.", _STORED),
            200: Answer("This copy is stored already.", _STORED),
        },
        request_content={"multipart/form-data": CopyForm},
        allowed_as="create",
        streams_body=True,
    ),
)
