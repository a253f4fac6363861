"""What core gives a plugin, for tests."""

import ssl

from prometheus_client import CollectorRegistry

from artstore.core.logging import get_logger
from artstore.core.metrics import RegistryPluginMetrics
from artstore.core.spec import PluginContext


def plugin_context(plugin: str, registry: CollectorRegistry | None = None) -> PluginContext:
    """A context for ``plugin`` (``storage_s3``).

    Its metrics are in ``registry``, its log lines in :func:`structlog.testing.capture_logs`.
    """
    metrics = RegistryPluginMetrics(registry or CollectorRegistry(), prefix=f"artstore_plugin_{plugin}_")
    return PluginContext(
        logger=get_logger(plugin), metrics=metrics, client_ssl_context=ssl.create_default_context
    )
