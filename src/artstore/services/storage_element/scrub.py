"""Reads files again, the longest unread first, within a budget; a known-bad sample tests the reader."""

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Final
from uuid import UUID, uuid4

from artstore.core.cancellation import end_if_cancelled
from artstore.core.fixity import SampleOutcome
from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.fixity import microseconds_now
from artstore.services.storage_element.fixity_evidence import holds
from artstore.services.storage_element.fixity_reading import FixityReader, Pace
from artstore.services.storage_element.fixity_records import SAMPLE_ID, SAMPLE_KEY, RunRow, Subject, Verdict
from artstore.services.storage_element.small_objects import put_small

MOST_FILES: Final = 256
PARTS: Final = 4
"""After so many parts (a second of the budget), or one larger file, what was found is written down."""
RETRY_AFTER: Final = 5.0
"""Seconds until the next attempt, after the storage or the database failed."""

_log: Final = get_logger("fixity")


async def scrub(element: Element) -> None:
    """Go on with the runs there are, begin one when it is time, until cancelled."""
    scrubber = Scrubber(element)
    while True:
        try:
            await scrubber.go_on()
        except ArtStoreError as error:
            _log.warning("scrub_interrupted", reason=error.detail)
        except Exception as error:
            # Whatever it is, the element goes on serving; the age of what is not read tells.
            await asyncio.to_thread(_log.error, "scrub_crashed", exc_info=error)
        else:
            continue
        end_if_cancelled()
        await asyncio.sleep(RETRY_AFTER)


class Scrubber:
    """One step at a time: all that it has to know afterwards is in the database."""

    def __init__(self, element: Element) -> None:
        self._element = element
        self._fixity = element.fixity
        pace = Pace(element.settings.fixity.budget)
        self._reader = FixityReader(element.storage, pace)
        self._step_size = PARTS * pace.part_size
        self._doubtful: set[UUID] = set()

    async def go_on(self) -> None:
        """Take the next step of the next run; without one, wait for it."""
        self._fixity.requested.clear()
        run = await self._fixity.runs.next()
        if run is not None:
            await self._step(run)
            return
        now, last = microseconds_now(), await self._fixity.runs.last_scheduled()
        begins_at = self._fixity.schedule.next_after(last)
        if begins_at <= now:
            await self._schedule(now)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout((begins_at - now) / 1e6):
                await self._fixity.requested.wait()

    async def _schedule(self, now: int) -> None:
        run = RunRow(
            run_id=str(uuid4()),
            reason="scheduled",
            checked_before=self._fixity.schedule.due_before(now),
            requested_at=now,
        )
        await self._fixity.runs.add(run)

    async def _step(self, run: RunRow) -> None:
        if run.started_at is None:
            await self._begin(run)
        subjects = await self._due(run)
        planted = await self._plant() if run.sample is None else []
        verdicts = await self._reader.check([*planted, *subjects])
        await self._note(run, [each for each in verdicts if each.subject.file_id != SAMPLE_ID])
        if run.sample is None:
            await self._judge(run, [each for each in verdicts if each.subject.file_id == SAMPLE_ID])
        if not subjects:
            await self._finish(run)

    async def _begin(self, run: RunRow) -> None:
        store, now = self._fixity.store, microseconds_now()
        await store.enrol(now=now)
        self._fixity.forget_others(await store.bad())
        named = run.named_files
        files = await store.count_due(before=run.checked_before) if named is None else len(named)
        await self._fixity.runs.begin(run, files=files, now=now)
        _log.info("scrub_begun", run_id=run.run_id, reason=run.reason, files=files)

    async def _due(self, run: RunRow) -> Sequence[Subject]:
        """A few files; those about which nothing can be said now are left to the next run."""
        store, named, before = self._fixity.store, run.named_files, run.checked_before
        if named is not None:
            due = await store.named(named, before=before)
        else:
            due = await store.due(before=before, bad_before=run.requested_at, limit=MOST_FILES)
        due = [subject for subject in due if subject.file_id not in self._doubtful]
        sizes = accumulate(subject.size for subject in due)
        return due[: max(1, sum(size <= self._step_size for size in sizes))]

    async def _note(self, run: RunRow, verdicts: Sequence[Verdict]) -> None:
        certain = list[Verdict]()
        for verdict in verdicts:
            if await holds(self._element, verdict):
                certain.append(verdict)
            else:
                self._doubtful.add(verdict.subject.file_id)
        await self._fixity.note(certain, run=run)
        self._fixity.metrics.show_oldest(await self._fixity.store.oldest())

    async def _plant(self) -> list[Subject]:
        """Put a sample among the files, of which one bit is not what it has to be."""
        content = uuid4().bytes
        wrong = bytes([content[0] ^ 1]) + content[1:]
        try:
            await put_small(self._element.storage, SAMPLE_KEY, wrong)
        except ArtStoreError as error:
            _log.warning("fixity_sample_not_planted", reason=error.detail)
            return []
        return [Subject(SAMPLE_ID, SAMPLE_KEY, len(content), hashlib.sha256(content).hexdigest())]

    async def _judge(self, run: RunRow, verdicts: Sequence[Verdict]) -> None:
        """The sample tells whether other verdicts can be believed."""
        sample: SampleOutcome = "not_planted"
        for verdict in verdicts:
            sample = "found" if verdict.outcome == "damaged" else "missed"
            if sample == "missed":
                await self._element.root.require_present()
                _log.error("fixity_sample_missed", run_id=run.run_id, outcome=verdict.outcome)
        await self._fixity.runs.note_sample(run, sample)
        self._fixity.metrics.show_sample(sample)
        with suppress(ArtStoreError):
            await self._element.storage.delete(SAMPLE_KEY)

    async def _finish(self, run: RunRow) -> None:
        self._doubtful.clear()
        await self._fixity.runs.finish(run, now=microseconds_now())
        ended = await self._fixity.runs.get(UUID(run.run_id))
        write = _log.info if ended.shown().is_good else _log.error
        write(
            "scrub_finished",
            run_id=ended.run_id,
            checked=ended.checked,
            checked_bytes=ended.checked_bytes,
            bad=ended.bad,
            sample=ended.sample,
        )
