"""What is measured of finalizations: steps by who takes them, what is there by who works on it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from artstore.core.finalization import FINALIZED, FinalizationStatus
from artstore.core.stores.finalizations import Finalization

Outcome = Literal["finalized", "failed"]

# Seconds. A small file takes a few requests; a large one as long as its bytes take, twice.
DURATION_BUCKETS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)


class FinalizationMetrics:
    """Files on their way from temporary to permanent."""

    def __init__(self, registry: CollectorRegistry) -> None:
        outcomes = Counter(
            "artstore_finalizations_total",
            "Finalizations by how they ended: finalized (the file is permanent) or failed.",
            ["outcome"],
            registry=registry,
        )
        self._outcomes = {outcome: outcomes.labels(outcome) for outcome in get_args(Outcome)}
        present = Gauge(
            "artstore_finalizations_present",
            "Unfinished finalizations, by status.",
            ["status"],
            registry=registry,
        )
        self._present = {status: present.labels(status) for status in get_args(FinalizationStatus)}
        self.copied = Counter(
            "artstore_finalization_bytes_total",
            "Bytes copied from one storage element to another, failed attempts included.",
            registry=registry,
        )
        self._duration = Histogram(
            "artstore_finalization_duration_seconds",
            "Time from the request until the file was permanent.",
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._oldest = Gauge(
            "artstore_finalization_oldest_seconds",
            "Age of the oldest finalization whose file is still temporary, 0 when there is none.",
            registry=registry,
        )

    def moved(self, before: Finalization, after: Finalization) -> None:
        """Count and time the end of one."""
        if after.status == "failed":
            self._outcomes["failed"].inc()
        elif after.status in FINALIZED and before.status not in FINALIZED:
            self._outcomes["finalized"].inc()
            self._duration.observe((datetime.now(UTC) - after.created_at).total_seconds())

    def show(self, present: Mapping[str, int], *, oldest: datetime | None) -> None:
        """What is there now."""
        for status, gauge in self._present.items():
            gauge.set(present.get(status, 0))
        age = 0.0 if oldest is None else (datetime.now(UTC) - oldest).total_seconds()
        self._oldest.set(max(0.0, age))

    def forget(self) -> None:
        """Report nothing any more: another process works on them, or nobody."""
        self.show({}, oldest=None)
