"""The typed keys under which the admin application keeps its own things."""

from typing import Final

from aiohttp import web

from artstore.services.admin.audit import Audit
from artstore.services.admin.components import Components

ADMIN: Final = web.AppKey("admin", Components)
AUDIT_LOG: Final = web.AppKey("audit_log", Audit)
