"""What a role measures of the access tokens with which it calls others."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from artstore.core.client.errors import IssuerAnswerError, IssuerRefusedError, IssuerUnreachableError

Trigger = Literal["expired", "expiring_soon", "manual"]
"""Why a token is fetched: there is none that holds, it holds not much longer, or it was refused."""
TokenState = Literal["valid", "expired", "expiring_soon", "missing"]
Source = Literal["cache", "fresh_request"]

ACQUISITION_BUCKETS: Final = (0.001, 0.01, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
REFRESH_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class TokenMetrics:
    """Numbers of one token source. ``admin_url`` is where tokens come from: one label value."""

    def __init__(self, registry: CollectorRegistry, *, admin_url: str) -> None:
        self._admin_url = admin_url
        self._requests = Counter(
            "auth_token_requests_total",
            "Requests for an access token, by outcome.",
            ["status", "error_type"],
            registry=registry,
        )
        self._sources = Counter(
            "auth_token_source_total",
            "Tokens given to callers, by where they came from.",
            ["source"],
            registry=registry,
        )
        self._refreshes = Counter(
            "auth_token_refresh_total",
            "Refreshes of the token, by outcome and trigger.",
            ["status", "trigger"],
            registry=registry,
        )
        self._validations = Counter(
            "auth_token_validation_total",
            "Checks of the cached token, by result.",
            ["result"],
            registry=registry,
        )
        self._errors = Counter(
            "auth_errors_total",
            "Failures to get a token.",
            ["error_type", "admin_module_url"],
            registry=registry,
        )
        self._acquisition = Histogram(
            "auth_token_acquisition_duration_seconds",
            "Time a caller waits for a token, cached or not.",
            buckets=ACQUISITION_BUCKETS,
            registry=registry,
        )
        self._refresh_duration = Histogram(
            "auth_token_refresh_duration_seconds",
            "Duration of a refresh.",
            buckets=REFRESH_BUCKETS,
            registry=registry,
        )
        self._ttl = Gauge(
            "auth_token_ttl_seconds", "Seconds until the cached token expires.", registry=registry
        )
        self._hit_rate = Gauge(
            "auth_token_cache_hit_rate", "Tokens given from the cache, in percent.", registry=registry
        )
        self._given: dict[Source, int] = {"cache": 0, "fresh_request": 0}
        self._hit_rate.set_function(self._percent_cached)

    def watch(self, seconds_left: Callable[[], float]) -> None:
        """Ask ``seconds_left`` whenever somebody reads the numbers."""
        self._ttl.set_function(seconds_left)

    def validated(self, result: TokenState) -> None:
        """Count a look at the cached token."""
        self._validations.labels(result).inc()

    def given(self, source: Source) -> None:
        """Count a token that a caller got."""
        self._given[source] += 1
        self._sources.labels(source).inc()

    @contextmanager
    def acquisition(self) -> Generator[None, None, None]:
        """Time the wait of one caller."""
        with self._acquisition.time():
            yield

    @contextmanager
    def refresh(self, trigger: Trigger) -> Generator[None, None, None]:
        """Count and time one refresh by how it ends."""
        started = time.perf_counter()
        error_type = "cancelled"
        try:
            yield
            error_type = "none"
        except Exception as error:
            error_type = _error_type(error)
            self._errors.labels(error_type, self._admin_url).inc()
            raise
        finally:
            status = "success" if error_type == "none" else "failure"
            self._requests.labels(status, error_type).inc()
            self._refreshes.labels(status, trigger).inc()
            self._refresh_duration.observe(time.perf_counter() - started)

    def reset(self) -> None:
        """There is no token any more: what tells of it says so."""
        self._given = {"cache": 0, "fresh_request": 0}

    def _percent_cached(self) -> float:
        total = sum(self._given.values())
        return 100.0 * self._given["cache"] / total if total else 0.0


def _error_type(error: Exception) -> str:
    match error:
        case IssuerUnreachableError():
            return "connection"
        case IssuerRefusedError():
            return "http"
        case IssuerAnswerError():
            return "malformed"
        case _:
            return "credentials"
