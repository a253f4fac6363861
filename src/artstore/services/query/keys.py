"""The typed key of this role."""

from typing import Final

from aiohttp import web

from artstore.services.query.query import Query

QUERY: Final = web.AppKey("query", Query)
