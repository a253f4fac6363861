"""The storage element role: keeps files, each with its sidecar, and tells others what changed."""

from typing import Final

from artstore.core.app import Resource, Role
from artstore.services.storage_element.catalog_care import open_catalog_care
from artstore.services.storage_element.catalog_routes import CATALOG_CARE, CATALOG_OPERATIONS
from artstore.services.storage_element.collection_routes import COLLECTION_OPERATIONS, COLLECTOR
from artstore.services.storage_element.collector import open_collector
from artstore.services.storage_element.finalization_routes import FINALIZATION_OPERATIONS
from artstore.services.storage_element.fixity_routes import FIXITY_OPERATIONS
from artstore.services.storage_element.hold_routes import HOLD_OPERATIONS
from artstore.services.storage_element.keys import ELEMENT
from artstore.services.storage_element.mode_routes import MODE_OPERATIONS
from artstore.services.storage_element.opening import open_element
from artstore.services.storage_element.restore_routes import RESTORE_OPERATIONS
from artstore.services.storage_element.routes import OPERATIONS

ROLE: Final = Role(
    name="element",
    title="ArtStore storage element",
    operations=(
        *OPERATIONS,
        *MODE_OPERATIONS,
        *RESTORE_OPERATIONS,
        *CATALOG_OPERATIONS,
        *HOLD_OPERATIONS,
        *FIXITY_OPERATIONS,
        *FINALIZATION_OPERATIONS,
        *COLLECTION_OPERATIONS,
    ),
    resources=(
        Resource(ELEMENT, open_element),
        Resource(CATALOG_CARE, open_catalog_care),
        Resource(COLLECTOR, open_collector),
    ),
)
