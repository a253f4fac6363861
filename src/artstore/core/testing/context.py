"""What core gives a plugin, for tests."""

import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import CollectorRegistry

from artstore.core.logging import get_logger
from artstore.core.metrics import RegistryPluginMetrics
from artstore.core.spec import PluginContext

TakeSecrets = Callable[[Any], Awaitable[None]]
"""What a plugin wants to be called with when secrets have changed."""


def plugin_context(
    plugin: str,
    registry: CollectorRegistry | None = None,
    *,
    follow_secrets: Callable[[TakeSecrets], None] = lambda take: None,
) -> PluginContext:
    """A context for ``plugin`` (``storage_s3``).

    Its metrics are in ``registry``, its log lines in :func:`structlog.testing.capture_logs`.
    ``follow_secrets`` is told what takes new secrets.
    """
    metrics = RegistryPluginMetrics(registry or CollectorRegistry(), prefix=f"artstore_plugin_{plugin}_")
    return PluginContext(
        logger=get_logger(plugin),
        metrics=metrics,
        client_ssl_context=ssl.create_default_context,
        follow_secrets=follow_secrets,
    )
