"""What looks after the catalog of an element that serves."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from artstore.core.keys import CATALOG
from artstore.services.storage_element.keys import ELEMENT
from artstore.services.storage_element.rebuilder import Rebuilder


@dataclass(frozen=True, slots=True)
class CatalogCare:
    """Builds the catalog again."""

    rebuilder: Rebuilder


@asynccontextmanager
async def open_catalog_care(app: web.Application) -> AsyncGenerator[CatalogCare, None]:
    """That of the element of ``app``; it goes on with what a stop interrupted."""
    rebuilder = Rebuilder(app[ELEMENT], app[CATALOG])
    await rebuilder.open()
    try:
        yield CatalogCare(rebuilder)
    finally:
        await rebuilder.close()
