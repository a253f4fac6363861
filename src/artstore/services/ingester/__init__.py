"""The ingester role: takes uploads, chooses the storage element, streams the bytes through."""

from typing import Final

from artstore.core.app import Resource, Role
from artstore.services.ingester.finalization_routes import FINALIZATION_OPERATIONS
from artstore.services.ingester.keys import INGESTER
from artstore.services.ingester.opening import open_ingester
from artstore.services.ingester.routes import OPERATIONS

ROLE: Final = Role(
    name="ingester",
    title="ArtStore ingester",
    operations=(*OPERATIONS, *FINALIZATION_OPERATIONS),
    resources=(Resource(INGESTER, open_ingester),),
)
