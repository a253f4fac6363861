"""What code that has something to tell the audit trail speaks to."""

import asyncio
from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from artstore.core.audit.metrics import AuditMetrics
from artstore.core.audit.record import Happening, Outcome
from artstore.core.audit.spool import Spool, open_spool

REPEATS_INTERVAL: Final = 60.0
"""Seconds for which equal decisions are counted, and then recorded as one."""

MAX_REMEMBERED: Final = 10_000
"""Decisions that are compared with; beyond, each is a record of its own."""


@dataclass(slots=True)
class _Repetition:
    last: Happening
    times: int = 0


class AuditTrail:
    """Takes what happened in one process of a role. Everything it takes is recorded.

    Decisions come in thousands that are equal: a role that polls another, a client with an old token that
    tries again. The first is recorded at once; those after it, equal in all but time and request id, are
    one record a minute that says how many they were.
    """

    def __init__(self, spool: Spool, metrics: AuditMetrics, *, role: str) -> None:
        self.spool: Final = spool
        self.metrics: Final = metrics
        self.role: Final = role
        self._repetitions: dict[Hashable, _Repetition] = {}
        self._lost = 0

    async def add(self, happening: Happening) -> None:
        """Record what has been done; returns when that is on stable storage.

        Raises:
            UnavailableError: it cannot be written now. It will be when the disk works again.
        """
        await self.add_unawaited(happening)

    def add_unawaited(self, happening: Happening) -> asyncio.Future[None]:
        """Record what has been done, with nobody left to wait for it; a future of its being there."""
        self._count(happening)
        return self.spool.append_synced(happening)

    def add_soon(self, happening: Happening) -> None:
        """Record what nobody waits for: within a fraction of a second."""
        self._count(happening)
        self._append(happening)

    def add_decision(self, happening: Happening) -> None:
        """Record that somebody was allowed or denied something, or count it if it was just recorded."""
        self._count(happening)
        key = _key(happening)
        known = self._repetitions.get(key)
        if known is not None:
            known.last, known.times = happening, known.times + 1
            return
        if len(self._repetitions) < MAX_REMEMBERED:
            self._repetitions[key] = _Repetition(happening)
        self._append(happening)

    def add_event(
        self, event: str, *, outcome: Outcome = "succeeded", reason: str | None = None, **detail: str | int
    ) -> None:
        """Record what happened here by itself: a start, a stop, a job."""
        self.add_soon(self.event(event, outcome=outcome, reason=reason, **detail))

    def event(
        self, event: str, *, outcome: Outcome = "succeeded", reason: str | None = None, **detail: str | int
    ) -> Happening:
        """What happened here by itself, to be recorded."""
        return Happening(
            occurred_at=datetime.now(UTC),
            kind="system_event",
            event=event,
            outcome=outcome,
            role=self.role,
            reason=reason,
            detail=detail or None,
        )

    async def count_repetitions(self) -> None:
        """Record what was counted, every minute until cancelled."""
        while True:
            await asyncio.sleep(REPEATS_INTERVAL)
            self.record_repetitions()

    def record_repetitions(self) -> None:
        """Record what was counted since the last time; what was not repeated since is forgotten."""
        for key, repetition in list(self._repetitions.items()):
            if repetition.times == 0:
                del self._repetitions[key]
                continue
            self._append(repetition.last.model_copy(update={"times": repetition.times}))
            repetition.times = 0

    def _append(self, happening: Happening) -> None:
        if not self.spool.append(happening):
            self._lost += happening.times
            self.metrics.lost.inc(happening.times)
        elif self._lost:
            lost, self._lost = self._lost, 0
            self.add_event("audit_records_lost", outcome="failed", count=lost)

    def _count(self, happening: Happening) -> None:
        self.metrics.records[happening.kind, happening.outcome].inc()


@asynccontextmanager
async def open_trail(
    directory: Path, *, role: str, limit: int, registry: CollectorRegistry
) -> AsyncGenerator[AuditTrail, None]:
    """The trail of one process, which begins with its start and ends, unless it is killed, with its stop.

    Raises:
        ConfigurationError: its spool cannot be written.
    """
    metrics = AuditMetrics(registry)
    async with open_spool(directory, role=role, limit=limit) as spool:
        metrics.watch(depth=lambda: spool.depth, oldest_age=spool.oldest_age)
        trail = AuditTrail(spool, metrics, role=role)
        trail.add_event("started")
        counting = asyncio.create_task(trail.count_repetitions())
        try:
            yield trail
        finally:
            counting.cancel()
            trail.record_repetitions()
            trail.add_event("stopped")


def _key(happening: Happening) -> Hashable:
    """Whoever has not proven who they are cannot fill the memory with the paths they ask for.

    A certificate is such a proof, too: what two of them were refused is not the same.
    """
    actor, detail = happening.actor, happening.detail or {}
    return (
        happening.event,
        happening.outcome,
        happening.status,
        happening.reason,
        happening.client_address,
        actor.client_id if actor else None,
        happening.resource if actor else None,
        detail.get("certificate_names"),
    )
