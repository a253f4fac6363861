"""What admin measures of the checkpoints of the audit log."""

from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge


class CheckpointMetrics:
    """Only the process that looks after the log has these numbers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.signed = Counter(
            "artstore_audit_checkpoints_signed_total",
            "Checkpoints of the audit log that were signed.",
            registry=registry,
        )
        self.published = Counter(
            "artstore_audit_checkpoints_published_total",
            "Checkpoints of the audit log that were stored on a storage element.",
            registry=registry,
        )
        self._newest_at: datetime | None = None
        Gauge(
            "artstore_audit_checkpoint_age_seconds",
            "Age of the newest checkpoint of the audit log, 0 where another process signs them.",
            registry=registry,
        ).set_function(self._age)

    def newest_at(self, moment: datetime | None) -> None:
        """The newest checkpoint was made then; ``None`` when there is none."""
        self._newest_at = moment

    def _age(self) -> float:
        return 0.0 if self._newest_at is None else (datetime.now(UTC) - self._newest_at).total_seconds()
