"""The typed keys of this role."""

from typing import Final

from aiohttp import web

from artstore.services.storage_element.clock import Clock
from artstore.services.storage_element.element import Element

ELEMENT: Final = web.AppKey("element", Element)
CLOCK: Final[web.AppKey[Clock]] = web.AppKey("clock")
"""Where an application is given another clock than the machine's."""
