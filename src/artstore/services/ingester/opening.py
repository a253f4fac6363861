"""Opens the ingester: its parts, and the task that keeps the list of elements fresh."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from artstore.core.client.breaker import Breaker
from artstore.core.keys import CLIENT, HEALTH, METRICS, SETTINGS
from artstore.services.ingester.delivery import Delivery
from artstore.services.ingester.directory import ElementDirectory
from artstore.services.ingester.finalization import FinalizationRelay
from artstore.services.ingester.ingester import Ingester
from artstore.services.ingester.metrics import IngesterMetrics
from artstore.services.ingester.placement import Placement
from artstore.services.ingester.registration import Registrar

ADMIN_PAUSE: Final = 5.0
"""Seconds for which admin is left alone after it did not answer."""


@asynccontextmanager
async def open_ingester(app: web.Application) -> AsyncGenerator[Ingester, None]:
    """The ingester of ``app``. Neither admin nor an element need be there yet."""
    settings, client = app[SETTINGS], app[CLIENT]
    admin_url = settings.url("admin")
    metrics = IngesterMetrics(app[METRICS].registry)
    breaker = Breaker(pause=ADMIN_PAUSE, trials=1, note_state=metrics.breaker.set)
    directory = ElementDirectory(client, admin_url=admin_url, interval=settings.ingester.elements_refresh)
    app[HEALTH].add("elements", directory.check_elements)
    app[HEALTH].add("admin", directory.check_admin, required=False)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(directory.follow())
        try:
            yield Ingester(
                directory=directory,
                placement=Placement(client, directory, admin_url=admin_url, breaker=breaker, metrics=metrics),
                delivery=Delivery(client, patience=settings.server.stall_timeout),
                registrar=Registrar(
                    client, admin_url=admin_url, breaker=breaker, metrics=metrics, tasks=tasks
                ),
                finalizations=FinalizationRelay(client, admin_url=admin_url),
                metrics=metrics,
            )
        finally:
            following.cancel()
