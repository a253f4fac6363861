"""Collects garbage: looks for it, counts it, refuses what is too much to be true, and removes the rest."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from artstore.core import modes
from artstore.core.audit.parts import recording_part
from artstore.core.audit.record import Outcome, bounded
from artstore.core.audit.trail import AuditTrail
from artstore.core.collection import (
    MAX_EXAMPLES,
    REASONS,
    CollectionOrder,
    CollectionReport,
    CollectionStatus,
    Found,
    Reason,
)
from artstore.core.keys import AUDIT, CATALOG, METRICS
from artstore.core.logging import get_logger
from artstore.core.modes import Operation
from artstore.core.spec import ArtStoreError, Database, InsufficientStorageError, UnavailableError
from artstore.services.storage_element import sightings
from artstore.services.storage_element.candidates import (
    Candidate,
    Data,
    data_by_page,
    expired,
    old_tombstones,
    removals,
)
from artstore.services.storage_element.catalog_work import load_work, save_work
from artstore.services.storage_element.collection_metrics import CollectionMetrics
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.keys import ELEMENT
from artstore.services.storage_element.removal import Deadlines, remove

NAME: Final = "collection"
TIME_KEPT_EVERY: Final = 60.0
"""Seconds between two witnesses of the time."""

NEEDED: Final[dict[Reason, Operation]] = {
    "expired": "delete",
    "removal": "delete",
    "tombstone": "delete",
    "orphan": "create",
}
"""What the mode must allow: orphans are what uploads have left."""

AUTOMATIC: Final[Collection[Reason]] = ("expired", "removal", "tombstone")
"""What goes without anybody asking. Not orphans: one may be a document whose sidecar was lost."""

_log: Final = get_logger("element")


@dataclass(slots=True)
class _Tally:
    """What a run has found for one reason. Of more candidates than the run may remove none is kept."""

    found: int = 0
    removed: int = 0
    size: int = 0
    skipped: int = 0
    candidates: list[Candidate] = field(default_factory=list[Candidate])

    def add(self, candidate: Candidate, *, limit: int) -> None:
        self.found += 1
        self.size += candidate.size
        if len(self.candidates) < max(limit, MAX_EXAMPLES):
            self.candidates.append(candidate)

    def report(self) -> Found:
        return Found(
            found=self.found,
            removed=self.removed,
            size=self.size,
            skipped=self.skipped,
            examples=[candidate.key for candidate in self.candidates[:MAX_EXAMPLES]],
        )


class Collector:
    """One run at a time, by itself every few hours and whenever an operator asks."""

    def __init__(
        self,
        element: Element,
        database: Database,
        metrics: CollectionMetrics,
        last: CollectionReport | None,
        *,
        trail: AuditTrail | None = None,
    ) -> None:
        self._trail = trail
        self._element = element
        self._database = database
        self._metrics = metrics
        self._last = last
        self._turn = asyncio.Lock()

    @property
    def status(self) -> CollectionStatus:
        """The last run, and what keeps the next one from removing anything."""
        return CollectionStatus(clock_doubt=self._element.time.doubt(), last=self._last)

    async def run(self, order: CollectionOrder, *, reasons: Collection[Reason] = REASONS) -> CollectionReport:
        """Look for garbage, and remove it unless it is a dry run, or the run is refused.

        Raises:
            ArtStoreError: the storage cannot be listed, or the catalog cannot be used.
        """
        async with self._turn:
            if order.confirm_clock:
                await self._element.time.confirm()
            report = await self._collect(order, reasons)
            self._last = report
            self._metrics.show(report)
            async with self._database.transaction() as transaction:
                await save_work(transaction, NAME, report)
            _log.info("garbage_collected", **report.model_dump(mode="json", exclude={"found"}))
            self._audit(report)
            return report

    def _audit(self, report: CollectionReport) -> None:
        """What runs without a request is in the audit trail all the same."""
        if self._trail is None or report.dry_run:
            return
        removed: dict[str, str | int] = {
            reason: found.removed for reason, found in report.found.items() if found.removed
        }
        if removed or report.refused:
            outcome: Outcome = "denied" if report.refused else "succeeded"
            self._trail.add_event("garbage_collected", outcome=outcome, reason=report.refused, **removed)

    async def run_by_itself(self) -> None:
        """What is done without being asked for; what cannot be done now is left to the next time."""
        try:
            await self.run(CollectionOrder(dry_run=False), reasons=AUTOMATIC)
        except ArtStoreError as error:
            _log.warning("garbage_not_collected", reason=error.detail)

    async def keep_time(self) -> None:
        """Leave a witness of the time."""
        try:
            await self._element.time.keep()
        except ArtStoreError as error:
            _log.warning("time_not_kept", reason=error.detail)
        self._metrics.clock_trusted.set(self._element.time.doubt() is None)

    async def _collect(self, order: CollectionOrder, reasons: Collection[Reason]) -> CollectionReport:
        element = self._element
        started, started_at = time.monotonic(), element.clock.now()
        limit = self._limit() if order.limit is None else order.limit
        deadlines = Deadlines.of(element)
        allowed: list[Reason] = [reason for reason in reasons if _allows(element, NEEDED[reason])]
        tallies: dict[Reason, _Tally] = {reason: _Tally() for reason in allowed}
        orphans = 0
        async for candidate in self._candidates(deadlines):
            orphans += candidate.reason == "orphan"
            if candidate.reason in tallies:
                tallies[candidate.reason].add(candidate, limit=limit)
        refused = self._refusal(tallies, limit)
        if refused is not None:
            _log.error("garbage_collection_refused", reason=refused)
        elif not order.dry_run:
            await self._remove_all(tallies, deadlines)
        return CollectionReport(
            started_at=started_at,
            seconds=round(time.monotonic() - started, 3),
            dry_run=order.dry_run,
            limit=limit,
            refused=refused,
            found={reason: tally.report() for reason, tally in tallies.items()},
            orphans=orphans,
        )

    def _limit(self) -> int:
        settings = self._element.settings.collection
        share = self._element.catalog.file_count * settings.limit_percent / 100
        return max(settings.limit_files, int(share))

    def _refusal(self, tallies: dict[Reason, _Tally], limit: int) -> str | None:
        """Better garbage for a week than one file less for ever."""
        if (doubt := self._element.time.doubt()) is not None:
            self._metrics.refused("clock")
            return doubt
        if (found := sum(tally.found for tally in tallies.values())) > limit:
            self._metrics.refused("limit")
            return f"{found} would be removed, and at most {limit} may be: look at them, then allow more"
        return None

    async def _remove_all(self, tallies: dict[Reason, _Tally], deadlines: Deadlines) -> None:
        for tally in tallies.values():
            for candidate in tally.candidates:
                if await self._try_to_remove(candidate, deadlines):
                    tally.removed += 1
                    self._metrics.removed(candidate.reason, candidate.size)
                else:
                    tally.skipped += 1
                    tally.size -= candidate.size
                    self._metrics.skipped(candidate.reason)

    async def _try_to_remove(self, candidate: Candidate, deadlines: Deadlines) -> bool:
        if self._element.locks[candidate.file_id].locked():
            return False  # what an upload is under way for, however slow, is looked at by the next run
        resource = f"/api/v1/files/{candidate.file_id}"
        said = {"why": candidate.reason, "key": bounded(candidate.key)}
        try:
            async with recording_part(self._trail, "garbage_removed", resource=resource, **said) as part:
                part.is_done = removed = await remove(self._element, candidate, deadlines)
        except ArtStoreError as error:
            _log.warning("garbage_left", key=candidate.key, why=candidate.reason, reason=error.detail)
            return False
        _log.info("garbage_removed" if removed else "garbage_spared", key=candidate.key, why=candidate.reason)
        return removed

    async def _candidates(self, deadlines: Deadlines) -> AsyncIterator[Candidate]:
        async for candidate in expired(self._database, until=deadlines.expired):
            yield candidate
        async for candidate in old_tombstones(self._database, until=deadlines.tombstone):
            yield candidate
        run = uuid.uuid4().hex
        async for page in data_by_page(self._element.storage):
            described = [data for data in page if data.has_sidecar]
            for candidate in await removals(self._database, described, until=deadlines.removal):
                yield candidate
            bare = [data for data in page if not data.has_sidecar]
            for candidate in await self._orphans(bare, deadlines, run=run):
                yield candidate
        await sightings.forget_others(self._database, run=run)

    async def _orphans(self, bare: list[Data], deadlines: Deadlines, *, run: str) -> list[Candidate]:
        """Data that were without a sidecar already in an earlier run, a grace period ago."""
        if not bare:
            return []
        now = self._element.time.now()
        seen = await sightings.first_seen(self._database, [data.info.key for data in bare], now=now, run=run)
        return [
            Candidate("orphan", data.file_id, data.info.key, data.info.size)
            for data in bare
            if data.info.key in seen
            and seen[data.info.key] <= deadlines.orphan
            and data.info.modified_at <= deadlines.orphan
        ]


def _allows(element: Element, operation: Operation) -> bool:
    return operation in modes.allowed_operations(element.mode)


@asynccontextmanager
async def open_collector(app: web.Application) -> AsyncGenerator[Collector, None]:
    """That of the element of ``app``, at work."""
    element, database = app[ELEMENT], app[CATALOG]
    await sightings.prepare(database)
    metrics = CollectionMetrics(app[METRICS].registry)
    metrics.clock_trusted.set(element.time.doubt() is None)
    last = await load_work(database, NAME, CollectionReport)
    collector = Collector(element, database, metrics, last, trail=app.get(AUDIT))
    async with asyncio.TaskGroup() as tasks:
        jobs = element.jobs
        running = [tasks.create_task(jobs.repeat("time", collector.keep_time, every=TIME_KEPT_EVERY))]
        if (interval := element.settings.collection.interval) > 0:
            collecting = jobs.repeat("collection", collector.run_by_itself, every=interval)
            running.append(tasks.create_task(collecting))
        try:
            yield collector
        finally:
            for task in running:
                task.cancel()
    # Another process may have the root: the time is for that one to keep. Or there is no room for it.
    with suppress(UnavailableError, InsufficientStorageError):
        await element.time.keep()
