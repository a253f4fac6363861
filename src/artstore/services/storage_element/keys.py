"""The typed key of this role."""

from typing import Final

from aiohttp import web

from artstore.services.storage_element.element import Element

ELEMENT: Final = web.AppKey("element", Element)
