"""The typed key of this role."""

from typing import Final

from aiohttp import web

from artstore.services.ingester.ingester import Ingester

INGESTER: Final = web.AppKey("ingester", Ingester)
