"""Opens what the query role answers from. It starts before the index is there, and says so."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aiohttp import web

from artstore.core.keys import CLIENT, DATABASE, HEALTH, METRICS, SETTINGS
from artstore.core.stores.elements import ElementsStore
from artstore.core.stores.files import FilesStore
from artstore.core.stores.search import SearchStore
from artstore.services.query.elements import ElementUrls
from artstore.services.query.files import Files
from artstore.services.query.locations import Locations
from artstore.services.query.metrics import QueryMetrics
from artstore.services.query.query import Query
from artstore.services.query.schema import Schema
from artstore.services.query.searches import Searches


@asynccontextmanager
async def open_query(app: web.Application) -> AsyncGenerator[Query, None]:
    """The parts of this role, joined."""
    settings, database = app[SETTINGS], app[DATABASE]
    metrics = QueryMetrics(app[METRICS].registry)
    schema = Schema(database)
    files = FilesStore(database)
    app[HEALTH].add("database", schema.check)
    yield Query(
        searches=Searches(
            schema=schema,
            files=files,
            store=SearchStore(database),
            metrics=metrics,
            position_timeout=settings.query.position_timeout,
        ),
        files=Files(
            schema=schema,
            store=files,
            locations=Locations(files, metrics),
            element_urls=ElementUrls(ElementsStore(database)),
            client=app[CLIENT],
            metrics=metrics,
            stall_timeout=settings.server.stall_timeout,
        ),
    )
