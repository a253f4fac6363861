"""What core would give a plugin, for tests: a real logger and metrics that the test can read."""

from collections.abc import Callable, Sequence

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from artstore.core.spec import PluginContext, PluginMetrics


def plugin_context(plugin: str, registry: CollectorRegistry | None = None) -> PluginContext:
    """A context for ``plugin`` (``storage_s3``).

    Its metrics are in ``registry``, its log lines in :func:`structlog.testing.capture_logs`.
    """
    prefix = f"artstore_plugin_{plugin}_"
    metrics = RegisteredMetrics(prefix, registry or CollectorRegistry())
    return PluginContext(logger=structlog.get_logger(plugin=plugin), metrics=metrics)


class RegisteredMetrics(PluginMetrics):
    """Registers every number under ``prefix``."""

    def __init__(self, prefix: str, registry: CollectorRegistry) -> None:
        self._prefix = prefix
        self._registry = registry

    def counter(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Callable[..., None]:
        counter = Counter(self._prefix + name, documentation, labels, registry=self._registry)

        def record(amount: float = 1, **values: str) -> None:
            (counter.labels(**values) if values else counter).inc(amount)

        return record

    def gauge(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Callable[..., None]:
        gauge = Gauge(self._prefix + name, documentation, labels, registry=self._registry)

        def record(value: float, **values: str) -> None:
            (gauge.labels(**values) if values else gauge).set(value)

        return record

    def histogram(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Callable[..., None]:
        histogram = Histogram(self._prefix + name, documentation, labels, registry=self._registry)

        def record(value: float, **values: str) -> None:
            (histogram.labels(**values) if values else histogram).observe(value)

        return record
