"""What looks after the catalog of an element that serves: builds it again, compares it with the storage."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from artstore.core.keys import CATALOG
from artstore.core.spec import Database
from artstore.services.storage_element.checker import Checker
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.keys import ELEMENT
from artstore.services.storage_element.rebuilder import Rebuilder


@dataclass(frozen=True, slots=True)
class CatalogCare:
    """Of one element, whose catalog is in ``database``."""

    element: Element
    database: Database
    rebuilder: Rebuilder
    checker: Checker


@asynccontextmanager
async def open_catalog_care(app: web.Application) -> AsyncGenerator[CatalogCare, None]:
    """That of the element of ``app``; it goes on with what a stop interrupted."""
    element, database = app[ELEMENT], app[CATALOG]
    rebuilder, checker = Rebuilder(element, database), Checker(element, database)
    async with AsyncExitStack() as stack:
        for each in (rebuilder, checker):
            stack.push_async_callback(each.close)
            await each.open()
        yield CatalogCare(element, database, rebuilder, checker)
