"""The operations by which an operator looks after the catalog."""

from typing import Final

from aiohttp import web

from artstore.core.http.operations import Operation
from artstore.core.inspection import RebuildStatus
from artstore.services.storage_element.catalog_care import CatalogCare

CATALOG_CARE: Final = web.AppKey("catalog_care", CatalogCare)


async def start_rebuild(request: web.Request) -> RebuildStatus:
    """Build the catalog again from the sidecars, while the element serves.

    While a rebuild is under way, this is its status. The new catalog takes the place of the present one when
    it is complete, under a new `epoch`: whoever follows the journal reads it from its beginning.
    """
    return await request.app[CATALOG_CARE].rebuilder.start()


async def rebuild_status(request: web.Request) -> RebuildStatus:
    """How far the rebuild of the catalog is, or how the last one ended."""
    return request.app[CATALOG_CARE].rebuilder.status


async def cancel_rebuild(request: web.Request) -> RebuildStatus:
    """Give up the rebuild that is under way, if any: the catalog stays as it is."""
    return await request.app[CATALOG_CARE].rebuilder.cancel()


_REBUILD: Final = "/api/v1/catalog/rebuild"
_ADMIN: Final = "storage:admin"

CATALOG_OPERATIONS: Final = (
    Operation("POST", _REBUILD, start_rebuild, scope=_ADMIN, status=202),
    Operation("GET", _REBUILD, rebuild_status, scope=_ADMIN),
    Operation("DELETE", _REBUILD, cancel_rebuild, scope=_ADMIN),
)
