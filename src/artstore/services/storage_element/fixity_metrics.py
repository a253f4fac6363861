"""What fixity measures."""

import time
from collections.abc import Mapping
from typing import Final, get_args
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from artstore.core.fixity import BadOutcome, FixityOutcome, SampleOutcome
from artstore.core.metrics import DURATION_BUCKETS
from artstore.services.storage_element.fixity_records import Verdict

_PREFIX: Final = "artstore_element_fixity"


class FixityMetrics:
    """Checks as they are made, and what the last ones found."""

    def __init__(self, registry: CollectorRegistry) -> None:
        checked = Counter(
            f"{_PREFIX}_checked_total", "Files that were reread.", ["outcome"], registry=registry
        )
        self._checked = {outcome: checked.labels(outcome) for outcome in get_args(FixityOutcome)}
        self._bytes = Counter(f"{_PREFIX}_checked_bytes_total", "Bytes that were reread.", registry=registry)
        self._durations = Histogram(
            f"{_PREFIX}_check_duration_seconds",
            "Time to read and hash one file, without pauses for the budget.",
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        bad = Gauge(f"{_PREFIX}_bad", "Files whose last check was not good.", ["outcome"], registry=registry)
        self._bad = {outcome: bad.labels(outcome) for outcome in get_args(BadOutcome)}
        self._sample = Gauge(
            f"{_PREFIX}_sample_missed",
            "1 when the last run did not find the known-bad sample, so that it cannot be trusted.",
            registry=registry,
        )
        self._oldest: float | None = None
        Gauge(
            f"{_PREFIX}_oldest_unverified_seconds",
            "Longest time since a file, bad ones excepted, was last verified.",
            registry=registry,
        ).set_function(self.oldest_unverified)

    def count(self, verdict: Verdict) -> None:
        """A file was read."""
        self._checked[verdict.outcome].inc()
        self._bytes.inc(verdict.read)
        self._durations.observe(verdict.microseconds / 1e6)

    def show_bad(self, bad: Mapping[UUID, BadOutcome]) -> None:
        """All files that are bad now."""
        found = list(bad.values())
        for outcome, gauge in self._bad.items():
            gauge.set(found.count(outcome))

    def show_sample(self, sample: SampleOutcome | None) -> None:
        """What became of the last sample."""
        self._sample.set(sample not in ("found", None))

    def show_oldest(self, microseconds: int | None) -> None:
        """Since when the longest unread file is unread."""
        self._oldest = None if microseconds is None else microseconds / 1e6

    def oldest_unverified(self) -> float:
        """In seconds; it grows while nothing is read."""
        return 0.0 if self._oldest is None else max(0.0, time.time() - self._oldest)
