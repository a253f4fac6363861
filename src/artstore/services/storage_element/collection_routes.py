"""The operations by which an operator has garbage collected, and brings back what was deleted."""

from typing import Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from artstore.core.collection import CollectionOrder, CollectionReport, CollectionStatus
from artstore.core.exchange import POSITION_HEADER, StoredFile
from artstore.core.http.operations import JSON, Answer, Operation
from artstore.core.spec import (
    CorruptedError,
    InsufficientStorageError,
    ModeNotAllowedError,
    NotFoundError,
    SidecarDiffersError,
)
from artstore.services.storage_element import answers
from artstore.services.storage_element.changes import undelete
from artstore.services.storage_element.collector import Collector
from artstore.services.storage_element.keys import ELEMENT

COLLECTOR: Final = web.AppKey("collector", Collector)


class DeletedFilePath(BaseModel):
    """Which file."""

    file_id: UUID


async def collect_garbage(request: web.Request, body: CollectionOrder) -> CollectionReport:
    """Look for garbage; remove it when `dry_run` is false.

    Nothing is removed by a run that finds more than its limit, or while the clock is not believed: `refused`
    says why.
    """
    return await request.app[COLLECTOR].run(body)


async def last_collection(request: web.Request) -> CollectionStatus:
    """The last collection of garbage, and whether the clock is believed."""
    return request.app[COLLECTOR].status


async def post_undelete(request: web.Request, path: DeletedFilePath) -> web.Response:
    """Bring back a deleted file, within `removal_delay` of its deletion."""
    element = request.app[ELEMENT]
    with element.metrics.measure("update"):
        committed = await undelete(element, path.file_id)
    return answers.stored_file(element, committed)


_GC: Final = "/api/v1/gc"
_ADMIN: Final = "storage:admin"

COLLECTION_OPERATIONS: Final = (
    Operation("POST", _GC, collect_garbage, scope=_ADMIN),
    Operation("GET", _GC, last_collection, scope=_ADMIN),
    Operation(
        "POST",
        "/api/v1/files/{file_id}/undelete",
        post_undelete,
        scope=_ADMIN,
        problems=(
            CorruptedError,
            InsufficientStorageError,
            ModeNotAllowedError,
            NotFoundError,
            SidecarDiffersError,
        ),
        answers={
            200: Answer(
                "The file.", {JSON: StoredFile}, {POSITION_HEADER: "Where the change is in the journal."}
            )
        },
    ),
)
