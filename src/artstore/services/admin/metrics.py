"""What the admin role measures beyond what every role does."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from artstore.core.journal import UnreadPage
from artstore.services.admin.account_census import AccountMetrics
from artstore.services.admin.client_requests import ErrorCode, TokenRefusedError
from artstore.services.admin.finalization_metrics import FinalizationMetrics
from artstore.services.admin.key_metrics import KeyMetrics
from artstore.services.admin.login_metrics import LoginMetrics

# Seconds. A token is one signature of a millisecond and one look into the database.
TOKEN_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class TokenMetrics:
    """Requests to the token endpoint."""

    def __init__(self, registry: CollectorRegistry) -> None:
        requests = Counter(
            "artstore_token_requests_total", "Requests for an access token.", ["outcome"], registry=registry
        )
        outcomes = ("issued", "failed", *get_args(ErrorCode))
        self._requests = {outcome: requests.labels(outcome) for outcome in outcomes}
        self._duration = Histogram(
            "artstore_token_request_duration_seconds",
            "Time from a request for an access token to its answer, refusals included.",
            buckets=TOKEN_BUCKETS,
            registry=registry,
        )

    @contextmanager
    def observe(self) -> Generator[None, None, None]:
        """Count and time one request by how it ends."""
        started = time.perf_counter()
        outcome = "failed"
        try:
            yield
            outcome = "issued"
        except TokenRefusedError as refusal:
            outcome = refusal.code
            raise
        finally:
            self._requests[outcome].inc()
            self._duration.observe(time.perf_counter() - started)


class IndexMetrics:
    """How far the index is behind the elements. Only the process that indexes has these numbers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._records = Counter(
            "artstore_index_records_total",
            "Journal entries that were applied to the index.",
            ["element_id"],
            registry=registry,
        )
        self._failures = Counter(
            "artstore_index_failures_total",
            "Failed attempts to read or apply the journal of an element.",
            ["element_id"],
            registry=registry,
        )
        self._lag_records = Gauge(
            "artstore_index_lag_records",
            "Journal entries of an element that are not in the index yet.",
            ["element_id"],
            registry=registry,
        )
        self._lag_seconds = Gauge(
            "artstore_index_lag_seconds",
            "Age of the newest indexed entry while newer ones wait, 0 when none does.",
            ["element_id"],
            registry=registry,
        )

    def applied(self, page: UnreadPage) -> None:
        """Note a page that is in the index now."""
        self._records.labels(page.element_id).inc(len(page.items))
        sequence = page.items[-1].sequence if page.items else page.last_sequence
        waiting = max(0, page.last_sequence - sequence)
        age = (datetime.now(UTC) - page.items[-1].time).total_seconds() if waiting else 0.0
        self._lag_records.labels(page.element_id).set(waiting)
        self._lag_seconds.labels(page.element_id).set(max(0.0, age))

    def failed(self, element_id: str) -> None:
        """Note an attempt that failed."""
        self._failures.labels(element_id).inc()

    def forget(self, element_id: str) -> None:
        """Report no lag any more: another process follows the element, or nobody."""
        for gauge in (self._lag_records, self._lag_seconds):
            gauge.remove(element_id)


class AdminMetrics:
    """All of them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.tokens = TokenMetrics(registry)
        self.logins = LoginMetrics(registry)
        self.index = IndexMetrics(registry)
        self.finalizations = FinalizationMetrics(registry)
        self.accounts = AccountMetrics(registry)
        self.keys = KeyMetrics(registry)
        self.lease_held = Gauge(
            "artstore_lease_held",
            "Whether this process does the background job (1) or another one may (0).",
            ["lease"],
            registry=registry,
        )
