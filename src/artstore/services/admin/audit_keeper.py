"""Looks after the audit log, one process at a time: makes up what is overdue, signs, publishes, prunes."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from artstore.core.audit.belated import belated
from artstore.core.audit.checkpoints import Checkpoint, CheckpointSigner
from artstore.core.audit.record import PRUNED
from artstore.core.audit.sealing import Sealer
from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError, CorruptedError, UnavailableError
from artstore.core.stores.audit import AuditStore
from artstore.core.stores.audit_checkpoints import CheckpointsStore, CheckpointSummary
from artstore.core.stores.audit_due import DueStore
from artstore.core.stores.leases import Lease
from artstore.services.admin.audit_growth import Growth
from artstore.services.admin.audit_log import AuditLog, past_the_spool, system_record
from artstore.services.admin.audit_metrics import CheckpointMetrics
from artstore.services.admin.checkpoint_shelf import CheckpointShelf

CHECK_INTERVAL: Final = 1.0
"""Seconds between two looks at whether something is due."""

_log: Final = get_logger("audit")


@dataclass(frozen=True, slots=True)
class Schedule:
    """After how many records, or how long, a checkpoint is signed; for how long records are kept; when one
    that has not come is made up.
    """

    records: int
    interval: timedelta
    retention: timedelta
    overdue: timedelta


class AuditKeeper:
    """What the lease ``audit-keeper`` is for."""

    def __init__(
        self,
        log: AuditLog,
        store: AuditStore,
        due: DueStore,
        checkpoints: CheckpointsStore,
        shelf: CheckpointShelf,
        *,
        sealer: Sealer,
        signer: CheckpointSigner,
        schedule: Schedule,
        metrics: CheckpointMetrics,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._log = log
        self._store = store
        self._due = due
        self._checkpoints = checkpoints
        self._shelf = shelf
        self._sealer = sealer
        self._signer = signer
        self._schedule = schedule
        self._metrics = metrics
        self._now = now
        self._failures = dict[str, str]()

    async def run(self, lease: Lease) -> None:
        """Do what is due until cancelled.

        Raises:
            PreconditionFailedError: the lease is lost.
            UnavailableError: the database cannot be used.
        """
        try:
            while True:
                await self._record_what_is_overdue()
                await self._sign_what_is_due(lease)
                await self._try_to_publish()
                await self._prune_what_is_old(lease)
                await asyncio.sleep(CHECK_INTERVAL)
        finally:
            self._metrics.newest_at(None)  # another process knows, or will soon

    async def check(self) -> str:
        """How it goes, for the readiness.

        Raises:
            UnavailableError: a checkpoint cannot be signed or published.
        """
        if self._failures:
            raise UnavailableError("; ".join(self._failures.values()))
        return "checkpoints are signed and published"

    async def _record_what_is_overdue(self) -> None:
        """Whoever made these changes was killed, or has lost its spool."""
        while causes := await self._due.overdue(before=self._now() - self._schedule.overdue):
            await self._log.append([past_the_spool(belated(cause, "committed")) for cause in causes])
            _log.warning("audit_records_made_up", count=len(causes))

    async def _sign_what_is_due(self, lease: Lease) -> None:
        while await self._is_due(newest := await self._checkpoints.newest()):
            try:
                checkpoint = await self._next(newest)
            except (ValueError, CorruptedError) as error:
                # What was touched is never signed: that would make it right.
                self._note("signing", f"no checkpoint is signed: {error}")
                return
            await self._checkpoints.add(checkpoint, lease)
            self._metrics.signed.inc()
            _log.info("audit_checkpoint_signed", number=checkpoint.number, size=checkpoint.size)
        self._failures.pop("signing", None)
        self._metrics.newest_at(None if newest is None else newest.created_at)

    async def _is_due(self, newest: CheckpointSummary | None) -> bool:
        new = (await self._store.head()).position - (newest.size if newest else 0)
        oldest = await self._checkpoints.oldest_record()
        if new <= 0 or oldest is None:
            return False
        since = oldest[1] if newest is None else newest.created_at
        return self._now() - since >= self._schedule.interval or new >= self._schedule.records

    async def _next(self, newest: CheckpointSummary | None) -> Checkpoint:
        """The checkpoint of the next records.

        Raises:
            CorruptedError: one of them, or the checkpoint before, is not what was sealed.
        """
        growth = Growth(self._sealer, None if newest is None else await self._trusted(newest.number))
        async for rows in self._store.walk(after=growth.size, through=growth.size + self._schedule.records):
            await asyncio.to_thread(growth.add, rows)
        return self._signer.sign(growth.body(created_at=self._now()))

    async def _trusted(self, number: int) -> Checkpoint:
        checkpoint = await self._checkpoints.get(number)
        if not checkpoint.is_signed_by(self._signer.public_key):
            raise CorruptedError(f"checkpoint {number} of the audit log is forged")
        return checkpoint

    async def _try_to_publish(self) -> None:
        try:
            while (unpublished := await self._checkpoints.unpublished()) is not None:
                element_id = await self._shelf.put(await self._trusted(unpublished.number))
                await self._checkpoints.note_published(unpublished.number, element_id=element_id)
                self._metrics.published.inc()
        except (ValueError, ArtStoreError) as error:
            self._note("publishing", str(error))
        else:
            self._failures.pop("publishing", None)

    async def _prune_what_is_old(self, lease: Lease) -> None:
        """The record that tells of it comes first: what is gone without one was taken away."""
        behind = await self._checkpoints.newest_before(self._now() - self._schedule.retention)
        oldest = await self._checkpoints.oldest_record()
        if behind is None or oldest is None or oldest[0] > behind.size:
            return
        await self._log.append([system_record(PRUNED, through=behind.size, checkpoint=behind.number)])
        await self._checkpoints.prune(behind, lease)
        _log.info("audit_log_pruned", through=behind.size)

    def _note(self, what: str, reason: str) -> None:
        """Log a failure when it begins, not every second while it lasts."""
        if reason != self._failures.get(what):
            _log.error("audit_checkpoint_failed", reason=reason)
        self._failures[what] = reason
