"""The operations on holds of a storage element."""

from typing import Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from artstore.core.exchange import DELEGATION_HEADER, POSITION_HEADER, HoldPage, NewHold, StoredFile
from artstore.core.http.operations import JSON, Answer, Operation
from artstore.core.spec import (
    AlreadyExistsError,
    BeingFinalizedError,
    CorruptedError,
    ForbiddenError,
    InsufficientStorageError,
    NotFoundError,
    SidecarDiffersError,
)
from artstore.services.storage_element import answers
from artstore.services.storage_element.holds import place_hold, release_hold
from artstore.services.storage_element.keys import ELEMENT
from artstore.services.storage_element.requests import acting


class HeldFilePath(BaseModel):
    """Which file."""

    file_id: UUID


class HoldPath(HeldFilePath):
    """Which hold of which file."""

    hold_id: str


async def post_hold(request: web.Request, path: HeldFilePath, body: NewHold) -> web.Response:
    """Hold a file: it cannot be deleted until the hold is released."""
    element = request.app[ELEMENT]
    with element.metrics.measure("update"):
        placed_by = acting(request).username
        committed, is_new = await place_hold(element, path.file_id, body, placed_by=placed_by)
    return answers.stored_file(element, committed, status=201 if is_new else 200)


async def list_holds(request: web.Request, path: HeldFilePath) -> HoldPage:
    """The holds of a file."""
    element = request.app[ELEMENT]
    element.check("read_metadata")
    known = await element.existing(path.file_id)
    return HoldPage(items=known.attributes.retention.holds)


async def delete_hold(request: web.Request, path: HoldPath) -> web.Response:
    """Release a hold."""
    element = request.app[ELEMENT]
    with element.metrics.measure("update"):
        committed = await release_hold(element, path.file_id, path.hold_id)
    return answers.stored_file(element, committed)


_HOLDS: Final = "/api/v1/files/{file_id}/holds"
_STORED: Final = {JSON: StoredFile}
_POSITION: Final = {POSITION_HEADER: "Where the change is in the journal: `element:sequence`."}
_PROBLEMS: Final = (
    BeingFinalizedError,
    CorruptedError,
    InsufficientStorageError,
    NotFoundError,
    SidecarDiffersError,
)

HOLD_OPERATIONS: Final = (
    Operation(
        "POST",
        _HOLDS,
        post_hold,
        scope="storage:admin",
        allowed_as="update",
        problems=(*_PROBLEMS, AlreadyExistsError, ForbiddenError),
        answers={
            201: Answer("Held.", _STORED, _POSITION),
            200: Answer("This very hold is on the file already.", _STORED, _POSITION),
        },
        request_headers={DELEGATION_HEADER: "Who holds it, JSON as base64url; needs `uploads:delegate`."},
    ),
    Operation(
        "GET",
        _HOLDS,
        list_holds,
        scope="storage:read",
        allowed_as="read_metadata",
        problems=(CorruptedError, NotFoundError),
    ),
    Operation(
        "DELETE",
        f"{_HOLDS}/{{hold_id}}",
        delete_hold,
        scope="storage:admin",
        allowed_as="update",
        problems=_PROBLEMS,
        answers={200: Answer("Released.", _STORED, _POSITION)},
    ),
)
