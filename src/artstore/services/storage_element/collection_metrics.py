"""What the collection of garbage measures of itself."""

from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from artstore.core.collection import REASONS, CollectionReport, Reason

Cause = Literal["clock", "limit"]
_PREFIX: Final = "artstore_element_gc"


class CollectionMetrics:
    """All series are there from the beginning, so that a first increase is seen."""

    def __init__(self, registry: CollectorRegistry) -> None:
        removed = Counter(
            f"{_PREFIX}_deleted_total",
            "Files and leftovers removed by garbage collection.",
            ["reason"],
            registry=registry,
        )
        size = Counter(
            f"{_PREFIX}_bytes_total",
            "Bytes of data removed by garbage collection.",
            ["reason"],
            registry=registry,
        )
        skipped = Counter(
            f"{_PREFIX}_skipped_total",
            "Garbage that a second proof did not confirm, or that could not be removed.",
            ["reason"],
            registry=registry,
        )
        refused = Counter(
            f"{_PREFIX}_refused_total", "Garbage collections that were refused.", ["cause"], registry=registry
        )
        self._removed = {reason: (removed.labels(reason), size.labels(reason)) for reason in REASONS}
        self._skipped = {reason: skipped.labels(reason) for reason in REASONS}
        self._refused = {cause: refused.labels(cause) for cause in get_args(Cause)}
        self._orphans = Gauge(
            f"{_PREFIX}_orphans",
            "Data without a sidecar found by the last garbage collection.",
            registry=registry,
        )
        self._last_run = Gauge(
            f"{_PREFIX}_last_run_timestamp_seconds",
            "When the last garbage collection began.",
            registry=registry,
        )
        self.clock_trusted = Gauge(
            "artstore_element_clock_trusted",
            "1 while the clock agrees with the time that has passed; nothing expires while it is 0.",
            registry=registry,
        )

    def removed(self, reason: Reason, size: int) -> None:
        """One was removed."""
        count, sizes = self._removed[reason]
        count.inc()
        sizes.inc(size)

    def skipped(self, reason: Reason) -> None:
        """One was left alone."""
        self._skipped[reason].inc()

    def refused(self, cause: Cause) -> None:
        """A run was refused."""
        self._refused[cause].inc()

    def show(self, report: CollectionReport) -> None:
        """A run has ended."""
        self._orphans.set(report.orphans)
        self._last_run.set(report.started_at.timestamp())
