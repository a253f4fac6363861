"""The operations by which an operator looks after the catalog."""

from typing import Annotated, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from artstore.core.http.operations import Operation
from artstore.core.inspection import (
    CheckRequest,
    ConsistencyReport,
    ConsistencyStatus,
    RebuildStatus,
    RepairReport,
    RepairRequest,
)
from artstore.core.keys import AUDIT
from artstore.core.spec import ModeNotAllowedError, UnavailableError
from artstore.services.storage_element.catalog_care import CatalogCare
from artstore.services.storage_element.repairs import Repairs

CATALOG_CARE: Final = web.AppKey("catalog_care", CatalogCare)


class RebuildQuery(BaseModel):
    """What a rebuild may do."""

    model_config = ConfigDict(extra="forbid")

    accept_loss: Annotated[
        bool, Field(description="Put it in place however many files it lacks that the present one knows.")
    ] = False


async def start_rebuild(request: web.Request, query: RebuildQuery) -> RebuildStatus:
    """Build the catalog again from the sidecars, while the element serves.

    While a rebuild is under way, this is its status. The new catalog takes the place of the present one when
    it is complete, under a new `epoch`: whoever follows the journal reads it from its beginning. If it lacks
    more than a few of the files that the present one knows, it has failed, and that one stays.
    """
    return await request.app[CATALOG_CARE].rebuilder.start(accept_loss=query.accept_loss)


async def rebuild_status(request: web.Request) -> RebuildStatus:
    """How far the rebuild of the catalog is, or how the last one ended."""
    return request.app[CATALOG_CARE].rebuilder.status


async def cancel_rebuild(request: web.Request) -> RebuildStatus:
    """Give up the rebuild that is under way, if any: the catalog stays as it is."""
    return await request.app[CATALOG_CARE].rebuilder.cancel()


class ConsistencyQuery(BaseModel):
    """How much of the report is wanted."""

    model_config = ConfigDict(extra="forbid")

    examples: Annotated[int, Field(ge=0, le=1000, description="The first so many of each kind.")] = 20


async def start_check(request: web.Request, body: CheckRequest) -> ConsistencyStatus:
    """Compare storage and catalog, while the element serves.

    While a comparison is under way, this is its status. Nothing is changed.
    """
    return await request.app[CATALOG_CARE].checker.start(verify=body.verify)


async def consistency(request: web.Request, query: ConsistencyQuery) -> ConsistencyReport:
    """What the comparison of storage and catalog has found so far, or what the last one found."""
    return await request.app[CATALOG_CARE].checker.report(examples=query.examples)


async def cancel_check(request: web.Request) -> ConsistencyStatus:
    """Give up the comparison that is under way, if any; what it found is kept."""
    return await request.app[CATALOG_CARE].checker.cancel()


async def repair(request: web.Request, body: RepairRequest) -> RepairReport:
    """Repair what the last comparison found, or tell what would be done, which is what happens by default.

    Every finding is looked at again before anything is changed.
    """
    care = request.app[CATALOG_CARE]
    return await Repairs(care.element, care.database, body, trail=request.app.get(AUDIT)).run()


_REBUILD: Final = "/api/v1/catalog/rebuild"
_CONSISTENCY: Final = "/api/v1/catalog/consistency"
_ADMIN: Final = "storage:admin"

CATALOG_OPERATIONS: Final = (
    Operation("POST", _REBUILD, start_rebuild, scope=_ADMIN, status=202, problems=(UnavailableError,)),
    Operation("GET", _REBUILD, rebuild_status, scope=_ADMIN),
    Operation("DELETE", _REBUILD, cancel_rebuild, scope=_ADMIN),
    Operation("POST", _CONSISTENCY, start_check, scope=_ADMIN, status=202),
    Operation("GET", _CONSISTENCY, consistency, scope=_ADMIN),
    Operation("DELETE", _CONSISTENCY, cancel_check, scope=_ADMIN),
    Operation(
        "POST",
        f"{_CONSISTENCY}/repair",
        repair,
        scope=_ADMIN,
        problems=(ModeNotAllowedError, UnavailableError),
    ),
)
