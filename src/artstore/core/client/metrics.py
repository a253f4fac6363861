"""What a role measures of its calls to others."""

from typing import Final
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter, Gauge

from artstore.core.client.token_metrics import TokenMetrics


class ClientMetrics:
    """Numbers of one client."""

    def __init__(self, registry: CollectorRegistry, *, token_url: str) -> None:
        issuer = urlsplit(token_url)
        self.tokens: Final = TokenMetrics(registry, admin_url=f"{issuer.scheme}://{issuer.netloc}")
        self.retries: Final = Counter(
            "artstore_client_retries_total",
            "Idempotent calls to other roles that were repeated because the connection broke.",
            registry=registry,
        )
        self.left_alone: Final = Gauge(
            "artstore_client_targets_left_alone",
            "Roles that are not called for a moment, after several calls in a row without an answer.",
            registry=registry,
        )
