"""What an element knows of its files' bytes: which are bad, what was found before, what is to be read."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self, get_args
from uuid import UUID, uuid4

from artstore.core.config import FixitySettings
from artstore.core.fixity import (
    QUARANTINED,
    BadOutcome,
    CheckedBy,
    FileFixity,
    FixityReport,
    FixityRequest,
    FixityStatus,
)
from artstore.core.logging import get_logger
from artstore.core.spec import CorruptedError, Database
from artstore.core.stores.rows import from_microseconds
from artstore.services.storage_element.fixity_metrics import FixityMetrics
from artstore.services.storage_element.fixity_records import CheckRow, RunRow, Verdict
from artstore.services.storage_element.fixity_runs import FixityRuns
from artstore.services.storage_element.fixity_store import FixityStore, put_verdicts
from artstore.services.storage_element.fixity_tables import create_fixity_tables

_log: Final = get_logger("fixity")


@dataclass(frozen=True, slots=True)
class Schedule:
    """When runs begin by themselves: so often that each has a thirtieth of the files to read.

    All times are in microseconds.
    """

    period: int
    opened_at: int

    @property
    def interval(self) -> int:
        return self.period // 30

    def next_after(self, last: RunRow | None) -> int:
        """When the next run begins; an element that has just been opened has other things to do."""
        settled = self.opened_at + min(self.interval, 60_000_000)
        if last is None or last.requested_at > microseconds_now():  # the clock was ahead then
            return settled
        return max(settled, last.requested_at + self.interval)

    def due_before(self, now: int) -> int:
        """Whoever was checked before this would be overdue at the run after this one."""
        return now - self.period + self.interval


class Fixity:
    """Verdicts are noted here, and asked for. What is bad is kept in memory: every download asks."""

    def __init__(
        self,
        database: Database,
        settings: FixitySettings,
        metrics: FixityMetrics,
        bad: dict[UUID, BadOutcome],
    ) -> None:
        self.store = FixityStore(database)
        self.runs = FixityRuns(database)
        self.settings = settings
        self.metrics = metrics
        self.schedule = Schedule(round(settings.period * 1e6), microseconds_now())
        self.requested = asyncio.Event()
        self._bad: dict[UUID, BadOutcome] = bad

    @classmethod
    async def open(cls, database: Database, settings: FixitySettings, metrics: FixityMetrics) -> Self:
        """As it was left."""
        await create_fixity_tables(database)
        store = FixityStore(database)
        fixity = cls(database, settings, metrics, dict(await store.bad()))
        last = await fixity.runs.last()
        metrics.show_sample(None if last is None else last.sample)
        metrics.show_bad(fixity._bad)
        metrics.show_oldest(await store.oldest())
        return fixity

    def bad_outcome(self, file_id: UUID) -> BadOutcome | None:
        """Of the last check of a file, if that was not good."""
        return self._bad.get(file_id)

    def is_quarantined(self, file_id: UUID) -> bool:
        """Whether its data are not to be given out."""
        return self._bad.get(file_id) in QUARANTINED

    def require_good(self, file_id: UUID) -> None:
        """Give nothing out that a check found bad, until one finds it good.

        Raises:
            CorruptedError: naming the file and what it was found.
        """
        if self.is_quarantined(file_id):
            raise CorruptedError(
                f"file {file_id} is {self._bad[file_id]}: a check found that its data are not what was "
                f"stored; they are given out again when a check finds them good"
            )

    async def note(self, verdicts: Sequence[Verdict], *, run: RunRow | None = None) -> None:
        """Note what a run, or else a download, found. A mismatch counts even if it cannot be written down."""
        for verdict in verdicts:
            self._remember(verdict, by="download" if run is None else "scrub")
        self.metrics.show_bad(self._bad)
        at = microseconds_now()
        if run is not None:
            # Never before what the run reads: a clock that is put back would keep it going for ever.
            await self.runs.progress(run, verdicts, at=max(at, run.requested_at))
            return
        async with self.store.database.transaction() as transaction:
            await put_verdicts(transaction, verdicts, at=at, by="download")

    async def stored_again(self, file_id: UUID) -> None:
        """The data of a file were stored anew: as after any upload, they count as never checked."""
        await self.store.forget_check(file_id, now=microseconds_now())
        before = self._bad.pop(file_id, None)
        self.metrics.show_bad(self._bad)
        _log.info("file_stored_again", file_id=str(file_id), before=before)

    def forget_others(self, bad: Mapping[UUID, BadOutcome]) -> None:
        """Files that are not among ``bad`` any more were deleted."""
        for file_id in self._bad.keys() - bad.keys():
            del self._bad[file_id]
        self.metrics.show_bad(self._bad)

    async def request(self, request: FixityRequest) -> RunRow:
        """A run that begins as soon as it can.

        Raises:
            TooManyRequestsError: too many wait already.
        """
        now = microseconds_now()
        run = RunRow(
            run_id=str(uuid4()),
            reason="requested",
            file_ids=None
            if request.file_ids is None
            else json.dumps([str(each) for each in request.file_ids]),
            checked_before=now - round(request.older_than * 1e6),
            requested_at=now,
        )
        await self.runs.add(run)
        self.requested.set()
        return run

    async def status(self, *, files: int) -> FixityStatus:
        """The files as of their last checks, and the runs."""
        run, last = await self.runs.next(), await self.runs.last()
        found = list(self._bad.values())
        return FixityStatus(
            files=files,
            never_checked=max(0, files - await self.store.count_checked()),
            bad={outcome: found.count(outcome) for outcome in get_args(BadOutcome)},
            oldest_unverified_seconds=self.metrics.oldest_unverified(),
            period_seconds=self.settings.period,
            budget=self.settings.budget,
            run=None if run is None else run.shown(),
            last_run=None if last is None else last.shown(),
            next_scheduled_at=from_microseconds(self.schedule.next_after(await self.runs.last_scheduled())),
        )

    async def of_file(self, file_id: UUID) -> FileFixity:
        """What is known of one file."""
        histories = await self.store.histories([file_id])
        return self._shown(file_id, histories[file_id])

    async def report(self, *, outcome: BadOutcome | None, after: UUID | None, limit: int) -> FixityReport:
        """Bad files in the order of their ids."""
        found = sorted(
            file_id
            for file_id, each in self._bad.items()
            if outcome in (None, each) and (after is None or file_id > after)
        )
        histories = await self.store.histories(found[:limit])
        items = [self._shown(file_id, history) for file_id, history in histories.items()]
        return FixityReport(items=items, has_more=len(found) > limit)

    def _shown(self, file_id: UUID, history: Sequence[CheckRow]) -> FileFixity:
        last = history[0] if history else None
        return FileFixity(
            file_id=file_id,
            outcome=None if last is None else last.outcome,
            quarantined=self.is_quarantined(file_id),
            checked_at=None if last is None else last.checked_at,
            checks=[row.shown() for row in history],
        )

    def _remember(self, verdict: Verdict, *, by: CheckedBy) -> None:
        file_id, outcome = verdict.subject.file_id, verdict.outcome
        self.metrics.count(verdict)
        before = self._bad.pop(file_id, None)
        if outcome == "good":
            if before is not None:
                _log.info("file_good_again", file_id=str(file_id), before=before)
            return
        self._bad[file_id] = outcome
        # The digests are in the history: a log line names the file.
        _log.error("file_bad", file_id=str(file_id), outcome=outcome, checked_by=by, detail=verdict.detail)


def microseconds_now() -> int:
    return time.time_ns() // 1000
