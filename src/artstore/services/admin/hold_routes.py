"""The operations on holds of the admin role."""

from typing import Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from artstore.core.exchange import HoldPage, NewHold
from artstore.core.http.operations import JSON, Answer, Operation, json_response
from artstore.core.keys import PRINCIPAL
from artstore.core.spec import (
    AlreadyExistsError,
    BeingFinalizedError,
    ModeNotAllowedError,
    NotFoundError,
    SidecarDiffersError,
    UpstreamError,
)
from artstore.services.admin.keys import ADMIN


class HeldFilePath(BaseModel):
    """Which file."""

    file_id: UUID


class HoldPath(HeldFilePath):
    """Which hold of which file."""

    hold_id: str


async def post_hold(request: web.Request, path: HeldFilePath, body: NewHold) -> web.Response:
    """Hold a file: it cannot be deleted until the hold is released."""
    holds, is_new = await request.app[ADMIN].holds.place(path.file_id, body, principal=request[PRINCIPAL])
    return json_response(holds, status=201 if is_new else 200)


async def list_holds(request: web.Request, path: HeldFilePath) -> HoldPage:
    """The holds of a file."""
    return await request.app[ADMIN].holds.list(path.file_id)


async def delete_hold(request: web.Request, path: HoldPath) -> None:
    """Release a hold."""
    await request.app[ADMIN].holds.release(path.file_id, path.hold_id)


_HOLDS: Final = "/api/v1/files/{file_id}/holds"
_PROBLEMS: Final = (
    BeingFinalizedError,
    ModeNotAllowedError,
    NotFoundError,
    SidecarDiffersError,
    UpstreamError,
)

HOLD_OPERATIONS: Final = (
    Operation(
        "POST",
        _HOLDS,
        post_hold,
        scope="storage:admin",
        problems=(*_PROBLEMS, AlreadyExistsError),
        answers={
            201: Answer("Held: all holds of the file.", {JSON: HoldPage}),
            200: Answer("This very hold is on the file already.", {JSON: HoldPage}),
        },
    ),
    Operation("GET", _HOLDS, list_holds, scope="files:read", problems=(NotFoundError, UpstreamError)),
    Operation("DELETE", f"{_HOLDS}/{{hold_id}}", delete_hold, scope="storage:admin", problems=_PROBLEMS),
)
