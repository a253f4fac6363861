"""Every typed key under which an application or a request keeps something."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from artstore.core.audit.trail import AuditTrail
from artstore.core.client.roles import RoleClient
from artstore.core.config import Settings
from artstore.core.http.connections import Connections
from artstore.core.http.health import Health
from artstore.core.http.operations import Endpoint
from artstore.core.http.rates import Rate, RateLimiter
from artstore.core.http.running import RunningRequests
from artstore.core.metrics import Metrics
from artstore.core.revocation import RevocationList
from artstore.core.secrets import SecretsChain
from artstore.core.spec import Authenticator, Cache, Database, Principal, StorageBackend
from artstore.core.tls.endpoint import TlsEndpoint
from artstore.core.tls.identity import ClientCertificate
from artstore.core.tls.settings import ClientNameRule

ROLE_NAME: Final = web.AppKey("role_name", str)
STOPPING: Final = web.AppKey("stopping", asyncio.Event)
"""Set when the server stops: whatever waits for something else to happen ends."""
RUNNING: Final = web.AppKey("running", RunningRequests)
"""The requests that are being answered: a stop waits for them."""
SETTINGS: Final = web.AppKey("settings", Settings)
METRICS: Final = web.AppKey("metrics", Metrics)
HEALTH: Final = web.AppKey("health", Health)
TLS: Final = web.AppKey("tls", TlsEndpoint)
CLIENT_NAME_RULES: Final = web.AppKey(
    "client_name_rules", Mapping[web.AbstractRoute, Sequence[ClientNameRule]]
)
ENDPOINTS: Final = web.AppKey("endpoints", Mapping[web.AbstractRoute, Endpoint])

SECRETS: Final = web.AppKey("secrets", SecretsChain)
CACHE: Final = web.AppKey("cache", Cache)
DATABASE: Final = web.AppKey("database", Database)
CATALOG: Final = web.AppKey("catalog", Database)
STORAGE: Final = web.AppKey("storage", StorageBackend)
AUTHENTICATOR: Final = web.AppKey("authenticator", Authenticator)
CLIENT: Final = web.AppKey("client", RoleClient)
REVOCATIONS: Final = web.AppKey("revocations", RevocationList)
"""Which tokens are refused although they verify."""
AUDIT: Final = web.AppKey("audit", AuditTrail)

SECURITY_HEADERS: Final = web.AppKey("security_headers", Mapping[str, str])
CONNECTIONS: Final = web.AppKey("connections", Connections)
RATES: Final = web.AppKey("rates", RateLimiter)

REQUEST_ID: Final = web.RequestKey("request_id", str)
CLIENT_ADDRESS: Final = web.RequestKey("client_address", str)
RATE: Final = web.RequestKey("rate", Rate)
"""What is left of the quota that the request was counted against last."""
ANSWERING: Final = web.RequestKey("answering", bool)
"""There when the headers of an answer have been sent: it is too late for another one."""
CLIENT_CERTIFICATE: Final = web.RequestKey("client_certificate", ClientCertificate)
"""There when the client has shown one."""
PRINCIPAL: Final = web.RequestKey("principal", Principal)
