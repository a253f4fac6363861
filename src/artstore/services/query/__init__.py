"""The query role: searches, tells what is known of a file, passes its bytes on."""

from typing import Final

from artstore.core.app import Resource, Role
from artstore.services.query.keys import QUERY
from artstore.services.query.opening import open_query
from artstore.services.query.routes import OPERATIONS

ROLE: Final = Role(
    name="query",
    title="ArtStore query",
    operations=OPERATIONS,
    resources=(Resource(QUERY, open_query),),
)
