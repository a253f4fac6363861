"""The authorization server's metadata (RFC 8414), from which clients configure themselves."""

from pydantic import BaseModel

from artstore.core.config import Settings
from artstore.core.scopes import SCOPES
from artstore.services.admin.token_requests import GRANT_TYPE

TOKEN_PATH = "/api/v1/auth/token"  # noqa: S105 - a path
JWKS_PATH = "/.well-known/jwks.json"
METADATA_PATH = "/.well-known/oauth-authorization-server"


class ServerMetadata(BaseModel):
    """RFC 8414 section 2."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    scopes_supported: list[str]
    response_types_supported: list[str]
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]


def server_metadata(settings: Settings) -> ServerMetadata:
    """What this issuer offers."""
    admin = settings.url("admin")
    return ServerMetadata(
        issuer=settings.issuer_url(),
        token_endpoint=admin + TOKEN_PATH,
        jwks_uri=admin + JWKS_PATH,
        scopes_supported=sorted(SCOPES),
        response_types_supported=[],  # there is no authorization endpoint
        grant_types_supported=[GRANT_TYPE],
        token_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_post"],
    )
