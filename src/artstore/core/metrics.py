"""One metrics registry per application, and the numbers every role measures."""

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from artstore import __version__
from artstore.core.spec import PluginMetrics

# Seconds. From a cached answer to a large upload.
DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class HttpMetrics:
    """What every role counts of its requests. Children are kept, because ``labels()`` costs more than
    the counting itself.
    """

    def __init__(self, registry: CollectorRegistry, *, role: str) -> None:
        self._role = role
        self._requests = Counter(
            "artstore_http_requests_total",
            "Requests answered.",
            ["role", "route", "method", "status"],
            registry=registry,
        )
        self._duration = Histogram(
            "artstore_http_request_duration_seconds",
            "Time from the request's headers to the end of its answer.",
            ["role", "route", "method"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._in_progress = Gauge(
            "artstore_http_requests_in_progress",
            "Requests being answered.",
            ["role"],
            registry=registry,
        ).labels(role)
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def watch(self, in_progress: Callable[[], int]) -> None:
        """Let the gauge ask how many requests are being answered: nobody pays for it but who reads it."""
        self._in_progress.set_function(in_progress)

    def observe(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request. ``route`` is the template, never the raw path."""
        key = (route, method, status)
        children = self._children.get(key)
        if children is None:
            children = (
                self._requests.labels(self._role, route, method, str(status)),
                self._duration.labels(self._role, route, method),
            )
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)


class Metrics:
    """The registry of one application."""

    def __init__(self, *, role: str) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self.http = HttpMetrics(self.registry, role=role)
        self.dependency_up = Gauge(
            "artstore_dependency_up",
            "Whether a dependency answered its last check (1) or not (0).",
            ["dependency"],
            registry=self.registry,
        )
        self.rate_limit_rejections = Counter(
            "artstore_rate_limit_rejections_total",
            "Requests refused with 429, by the limit that they exceeded.",
            ["policy"],
            registry=self.registry,
        )
        self.secret_rotations = Counter(
            "artstore_secret_rotations_total",
            "Changes of secrets that an open plugin took over, and attempts that failed.",
            ["plugin", "outcome"],
            registry=self.registry,
        )
        self.connections_active = Gauge(
            "artstore_http_connections_active", "Connections of clients.", registry=self.registry
        )
        self.connections_refused = Counter(
            "artstore_http_connections_refused_total",
            "Connections that were refused: too many in total or from one address, or no complete request "
            "head in time.",
            ["reason"],
            registry=self.registry,
        )
        Gauge(
            "artstore_build_info",
            "Always 1; the label is the version.",
            ["version"],
            registry=self.registry,
        ).labels(__version__).set(1)

    def for_plugin(self, name: str) -> "RegistryPluginMetrics":
        """What the plugin ``name`` may register."""
        return RegistryPluginMetrics(self.registry, prefix=f"artstore_plugin_{name}_")


class RegistryPluginMetrics(PluginMetrics):
    """Registers a plugin's numbers in a registry under a forced prefix."""

    def __init__(self, registry: CollectorRegistry, *, prefix: str) -> None:
        self._registry = registry
        self._prefix = prefix

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
