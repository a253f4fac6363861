"""What every role measures of its audit trail."""

from collections.abc import Callable
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from artstore.core.audit.record import Kind, Outcome


class AuditMetrics:
    """Records that were noted, and those that wait to be in the log."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        records = Counter(
            "artstore_audit_records_total",
            "Audit records that were written.",
            ["kind", "outcome"],
            registry=registry,
        )
        self.records = {
            (kind, outcome): records.labels(kind, outcome)
            for kind in get_args(Kind)
            for outcome in get_args(Outcome)
        }
        self.lost = Counter(
            "artstore_audit_records_lost_total",
            "Audit records of permitted reads and of refusals that found no room in the spool.",
            registry=registry,
        )
        self.failures = Counter(
            "artstore_audit_shipping_failures_total",
            "Failed attempts to deliver audit records to admin.",
            registry=registry,
        )

    def watch(self, *, depth: Callable[[], int], oldest_age: Callable[[], float]) -> None:
        """Let the gauges ask the spool."""
        Gauge(
            "artstore_audit_spool_records",
            "Audit records that wait on this process's disk until they are in the log.",
            registry=self._registry,
        ).set_function(depth)
        Gauge(
            "artstore_audit_oldest_unshipped_seconds",
            "Seconds for which the oldest unshipped audit record has waited, 0 when there is none.",
            registry=self._registry,
        ).set_function(oldest_age)
