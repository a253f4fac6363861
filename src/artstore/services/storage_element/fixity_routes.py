"""The operations of a storage element that concern the bytes of its files being what they were."""

from typing import Annotated, Final
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from artstore.core.fixity import (
    BadOutcome,
    FileFixity,
    FixityReport,
    FixityRequest,
    FixityRun,
    FixityStatus,
)
from artstore.core.http.operations import Operation
from artstore.core.spec import NotFoundError, TooManyRequestsError
from artstore.services.storage_element.keys import ELEMENT


class RunPath(BaseModel):
    """Which run."""

    run_id: UUID


class FixityFilePath(BaseModel):
    """Which file."""

    file_id: UUID


class ReportQuery(BaseModel):
    """Which slice of the bad files."""

    model_config = ConfigDict(extra="forbid")

    outcome: Annotated[BadOutcome | None, Field(description="Only those of which this was found.")] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    after: Annotated[UUID | None, Field(description="The last `file_id` of the slice before.")] = None


async def start_fixity_run(request: web.Request, body: FixityRequest) -> FixityRun:
    """Read files again now: all, some, or those that were not read for a time.

    A run that names files goes before one that does not. A file in quarantine that is found good leaves it.
    """
    element = request.app[ELEMENT]
    for file_id in body.file_ids or ():
        await element.existing(file_id)
    return (await element.fixity.request(body)).shown()


async def get_fixity(request: web.Request) -> FixityStatus:
    """How the files are, as of their last checks, and the runs that read them."""
    element = request.app[ELEMENT]
    return await element.fixity.status(files=element.catalog.file_count)


async def get_fixity_run(request: web.Request, path: RunPath) -> FixityRun:
    """One run: how far it is, and what it found."""
    return (await request.app[ELEMENT].fixity.runs.get(path.run_id)).shown()


async def get_fixity_report(request: web.Request, query: ReportQuery) -> FixityReport:
    """The files whose last check was bad, each with its history."""
    fixity = request.app[ELEMENT].fixity
    return await fixity.report(outcome=query.outcome, after=query.after, limit=query.limit)


async def get_file_fixity(request: web.Request, path: FixityFilePath) -> FileFixity:
    """What was found whenever a file was read again."""
    element = request.app[ELEMENT]
    element.check("read_metadata")
    await element.existing(path.file_id)
    return await element.fixity.of_file(path.file_id)


FIXITY_OPERATIONS: Final = (
    Operation(
        "POST",
        "/api/v1/fixity",
        start_fixity_run,
        scope="storage:admin",
        status=202,
        problems=(NotFoundError, TooManyRequestsError),
    ),
    Operation("GET", "/api/v1/fixity", get_fixity, scope="storage:read"),
    Operation("GET", "/api/v1/fixity/report", get_fixity_report, scope="storage:read"),
    Operation(
        "GET",
        "/api/v1/fixity/runs/{run_id}",
        get_fixity_run,
        scope="storage:read",
        problems=(NotFoundError,),
    ),
    Operation(
        "GET",
        "/api/v1/files/{file_id}/fixity",
        get_file_fixity,
        scope="storage:read",
        allowed_as="read_metadata",
        problems=(NotFoundError,),
    ),
)
