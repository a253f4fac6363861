"""The operations of a storage element that concern restoring from an archive."""

from typing import Annotated, Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from artstore.core.attribute_fields import MAX_INTEGER
from artstore.core.http.operations import Operation
from artstore.core.keys import PRINCIPAL
from artstore.core.logging import get_logger
from artstore.core.restores import (
    RestoreCompletion,
    RestoreFailure,
    RestorePage,
    RestoreRequest,
    RestoreStatus,
)
from artstore.core.spec import ChecksumMismatchError, NotFoundError, PreconditionFailedError
from artstore.services.storage_element.archive import latest_request, require_copy_of
from artstore.services.storage_element.keys import ELEMENT

_audit: Final = get_logger("audit")


class RestorePath(BaseModel):
    """Which request."""

    request_id: UUID


class RestoredFilePath(BaseModel):
    """Which file."""

    file_id: UUID


class RestoreQuery(BaseModel):
    """Which requests."""

    model_config = ConfigDict(extra="forbid")

    status: RestoreStatus | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=MAX_INTEGER)] = 0


async def list_restores(request: web.Request, query: RestoreQuery) -> RestorePage:
    """The requests for data of archived files, oldest first."""
    items, total = await request.app[ELEMENT].restores.list(
        query.status, limit=query.limit, offset=query.offset
    )
    return RestorePage(
        items=list(items),
        total=total,
        limit=query.limit,
        offset=query.offset,
        has_more=query.offset + len(items) < total,
    )


async def get_restore(request: web.Request, path: RestorePath) -> RestoreRequest:
    """What became of a request."""
    return await request.app[ELEMENT].restores.get(path.request_id)


async def get_restore_of_file(request: web.Request, path: RestoredFilePath) -> RestoreRequest:
    """What became of the newest request for a file."""
    return await latest_request(request.app[ELEMENT], path.file_id)


async def complete_restore(
    request: web.Request, path: RestorePath, body: RestoreCompletion
) -> RestoreRequest:
    """Say where the restored copy of a file is: whoever downloads the file is led there until it expires."""
    element = request.app[ELEMENT]
    await require_copy_of(element, await element.restores.get(path.request_id), body.checksum)
    done = await element.restores.complete(path.request_id, body.restored_at, expires_at=body.expires_at)
    _note(request, done)
    return done


async def fail_restore(request: web.Request, path: RestorePath, body: RestoreFailure) -> RestoreRequest:
    """Say that a file cannot be restored, and why."""
    failed = await request.app[ELEMENT].restores.fail(path.request_id, body.reason)
    _note(request, failed)
    return failed


async def cancel_restore(request: web.Request, path: RestorePath) -> RestoreRequest:
    """Cancel a request, or forget a copy that was lost before its time."""
    cancelled = await request.app[ELEMENT].restores.cancel(path.request_id)
    _note(request, cancelled)
    return cancelled


def _note(request: web.Request, restore: RestoreRequest) -> None:
    _audit.info(
        "restore_request_changed",
        restore_id=str(restore.request_id),
        file_id=str(restore.file_id),
        status=restore.status,
        by=request[PRINCIPAL].client_id,
        reason=restore.reason,
    )


_ONE: Final = "/api/v1/restores/{request_id}"
_CHANGE_PROBLEMS: Final = (NotFoundError, PreconditionFailedError)

RESTORE_OPERATIONS: Final = (
    Operation("GET", "/api/v1/restores", list_restores, scope="storage:read"),
    Operation("GET", _ONE, get_restore, scope="storage:read", problems=(NotFoundError,)),
    Operation(
        "GET",
        "/api/v1/files/{file_id}/restore",
        get_restore_of_file,
        scope="storage:read",
        problems=(NotFoundError,),
    ),
    Operation(
        "POST",
        f"{_ONE}/complete",
        complete_restore,
        scope="storage:admin",
        problems=(*_CHANGE_PROBLEMS, ChecksumMismatchError),
    ),
    Operation("POST", f"{_ONE}/fail", fail_restore, scope="storage:admin", problems=_CHANGE_PROBLEMS),
    Operation("DELETE", _ONE, cancel_restore, scope="storage:admin", problems=_CHANGE_PROBLEMS),
)
