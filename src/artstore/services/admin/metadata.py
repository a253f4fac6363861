"""The authorization server's metadata (RFC 8414), from which clients configure themselves."""

from typing import Final

from pydantic import BaseModel

from artstore.core.config import Settings
from artstore.core.scopes import SCOPES
from artstore.services.admin.client_keys import SUPPORTED
from artstore.services.admin.token_requests import GRANT_TYPE

TOKEN_PATH = "/api/v1/auth/token"  # noqa: S105 - a path
REVOCATION_PATH = "/api/v1/auth/revoke"
INTROSPECTION_PATH = "/api/v1/auth/introspect"
JWKS_PATH = "/.well-known/jwks.json"
METADATA_PATH = "/.well-known/oauth-authorization-server"
AUTH_METHODS: Final = ("client_secret_basic", "client_secret_post", "private_key_jwt")


class ServerMetadata(BaseModel):
    """RFC 8414 section 2."""

    issuer: str
    token_endpoint: str
    revocation_endpoint: str
    introspection_endpoint: str
    jwks_uri: str
    scopes_supported: list[str]
    response_types_supported: list[str]
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    token_endpoint_auth_signing_alg_values_supported: list[str]
    revocation_endpoint_auth_methods_supported: list[str]
    revocation_endpoint_auth_signing_alg_values_supported: list[str]
    tls_client_certificate_bound_access_tokens: bool
    introspection_endpoint_auth_methods_supported: list[str]
    introspection_endpoint_auth_signing_alg_values_supported: list[str]


def server_names(settings: Settings) -> tuple[str, ...]:
    """What the ``aud`` of an assertion may call this authorization server (RFC 7523 section 3)."""
    admin = settings.url("admin")
    endpoints = (TOKEN_PATH, REVOCATION_PATH, INTROSPECTION_PATH)
    return (settings.issuer_url(), *(admin + path for path in endpoints))


def server_metadata(settings: Settings) -> ServerMetadata:
    """What this issuer offers."""
    admin = settings.url("admin")
    return ServerMetadata(
        issuer=settings.issuer_url(),
        token_endpoint=admin + TOKEN_PATH,
        revocation_endpoint=admin + REVOCATION_PATH,
        introspection_endpoint=admin + INTROSPECTION_PATH,
        jwks_uri=admin + JWKS_PATH,
        scopes_supported=sorted(SCOPES),
        response_types_supported=[],  # there is no authorization endpoint
        grant_types_supported=[GRANT_TYPE],
        token_endpoint_auth_methods_supported=list(AUTH_METHODS),
        token_endpoint_auth_signing_alg_values_supported=list(SUPPORTED),
        revocation_endpoint_auth_methods_supported=[*AUTH_METHODS, "none"],  # people are public clients
        revocation_endpoint_auth_signing_alg_values_supported=list(SUPPORTED),
        tls_client_certificate_bound_access_tokens=settings.tls.enabled,
        introspection_endpoint_auth_methods_supported=list(AUTH_METHODS),
        introspection_endpoint_auth_signing_alg_values_supported=list(SUPPORTED),
    )
