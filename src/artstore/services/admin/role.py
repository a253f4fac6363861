"""The admin role, as core makes an application of it."""

from typing import Final

from artstore.core.app import Role
from artstore.services.admin.account_routes import ACCOUNT_OPERATIONS
from artstore.services.admin.audit_routes import AUDIT_OPERATIONS
from artstore.services.admin.authorization_routes import AUTHORIZATION_OPERATIONS
from artstore.services.admin.finalization_routes import FINALIZATION_OPERATIONS
from artstore.services.admin.hold_routes import HOLD_OPERATIONS
from artstore.services.admin.key_routes import KEY_OPERATIONS
from artstore.services.admin.login_routes import LOGIN_OPERATIONS
from artstore.services.admin.mode_routes import MODE_OPERATIONS
from artstore.services.admin.people_routes import PEOPLE_OPERATIONS
from artstore.services.admin.resources import RESOURCES
from artstore.services.admin.routes import OPERATIONS

ROLE: Final = Role(
    name="admin",
    title="ArtStore admin",
    operations=(
        *AUTHORIZATION_OPERATIONS,
        *OPERATIONS,
        *ACCOUNT_OPERATIONS,
        *KEY_OPERATIONS,
        *LOGIN_OPERATIONS,
        *PEOPLE_OPERATIONS,
        *MODE_OPERATIONS,
        *HOLD_OPERATIONS,
        *FINALIZATION_OPERATIONS,
        *AUDIT_OPERATIONS,
    ),
    resources=RESOURCES,
)
