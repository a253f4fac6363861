"""The job that goes on with finalizations: takes their steps when they are due, and again when they fail."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from artstore.core.finalization import UNDER_WAY
from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError
from artstore.core.stores.finalizations import FORGOTTEN_AT_ONCE, Finalization, FinalizationsStore
from artstore.core.stores.leases import Lease
from artstore.services.admin.finalization_metrics import FinalizationMetrics
from artstore.services.admin.finalization_steps import (
    AwaitedError,
    FinalizationSteps,
    HopelessError,
    is_hopeless,
)

INTERVAL: Final = 1.0
"""Seconds between two looks at what is due, unless somebody tells."""

CONCURRENCY: Final = 4
"""Finalizations that are worked on at once."""

FIRST_PAUSE: Final = 1.0
LAST_PAUSE: Final = 300.0
"""Seconds between two attempts, which double, less a random part, so that many do not come together."""

FORGET_INTERVAL: Final = 3600.0
"""Seconds between two looks for what ended so long ago that it need not be kept."""

PROGRESS_INTERVAL: Final = 0.5
"""Seconds between two notes of how many bytes were copied."""

_log: Final = get_logger("finalizations")


class Finalizer:
    """Works on all that is due. What was begun before a restart goes on where it was.

    What has ended is told of for ``retention``.
    """

    def __init__(
        self,
        store: FinalizationsStore,
        steps: FinalizationSteps,
        metrics: FinalizationMetrics,
        *,
        attempts: int,
        retention: timedelta,
    ) -> None:
        self._store = store
        self._steps = steps
        self._metrics = metrics
        self._attempts = attempts
        self._retention = retention
        self._forget_at = 0.0
        self._working: set[str] = set()
        self._told = asyncio.Event()

    def tell(self) -> None:
        """There is something new to be done."""
        self._told.set()

    async def run(self, lease: Lease) -> None:
        """Work until cancelled.

        Raises:
            PreconditionFailedError: the lease is lost.
            UnavailableError: the database cannot be used.
        """
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._told.clear()
                    for one in await self._store.due(datetime.now(UTC), limit=CONCURRENCY * 2):
                        if one.finalization_id not in self._working and len(self._working) < CONCURRENCY:
                            self._working.add(one.finalization_id)
                            group.create_task(self._work(one, lease))
                    await self._show()
                    await self._forget(lease)
                    await self._wait()
        finally:
            self._working.clear()
            self._metrics.forget()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(INTERVAL):
                await self._told.wait()
        except TimeoutError:
            pass

    async def _work(self, one: Finalization, lease: Lease) -> None:
        """Take steps while there is one to take now."""
        try:
            while one.next_attempt_at is not None and one.next_attempt_at <= datetime.now(UTC):
                saved = await self._store.save(await self._attempt(one), lease=lease)
                if saved is None:
                    return  # somebody else has got further: what they left is due again
                self._note(one, saved)
                one = saved
        finally:
            self._working.discard(one.finalization_id)
            self._told.set()

    async def _attempt(self, one: Finalization) -> Finalization:
        try:
            further = await self._steps.take(one, progress=self._progress_of(one))
        except HopelessError as error:
            return failed(one, error.reason)
        except AwaitedError as error:
            return self._later(one, error.reason)
        except ArtStoreError as error:
            return self._after_failure(one, error.detail, may_retry=not is_hopeless(error))
        except Exception as error:
            # A fault of ours in one finalization must not keep the others from theirs.
            _log.error("finalization_broke", finalization_id=one.finalization_id, exc_info=error)
            return self._after_failure(one, f"an unexpected {type(error).__name__}", may_retry=True)
        if further.status == one.status:
            return further
        # What was undone tells for ever why.
        return further.with_(attempts=0, error=further.error if one.status == "failed" else None)

    def _after_failure(self, one: Finalization, reason: str, *, may_retry: bool) -> Finalization:
        """What is to be undone, or removed because it is safe elsewhere, is tried again without end."""
        is_patient = one.status == "failed" or (one.is_switched and may_retry)
        attempts = one.attempts + 1
        if not is_patient and (not may_retry or attempts >= self._attempts):
            return failed(one, reason if attempts == 1 else f"{reason} (after {attempts} attempts)")
        return self._later(one, reason)

    def _later(self, one: Finalization, reason: str) -> Finalization:
        attempts = one.attempts + 1
        pause = min(FIRST_PAUSE * 2 ** min(attempts - 1, 30), LAST_PAUSE) * random.uniform(0.5, 1)  # noqa: S311 - jitter
        due = datetime.now(UTC) + timedelta(seconds=pause)
        # Why it is being undone stays what people are told.
        error = one.error if one.status == "failed" else reason
        return one.with_(attempts=attempts, error=error, next_attempt_at=due)

    def _progress_of(self, one: Finalization) -> Callable[[int], Awaitable[None]]:
        last, counted = time.monotonic(), 0

        async def note(copied: int) -> None:
            nonlocal last, counted
            self._metrics.copied.inc(copied - counted)
            counted = copied
            if time.monotonic() - last >= PROGRESS_INTERVAL:
                last = time.monotonic()
                await self._store.note_progress(one.finalization_id, copied)

        return note

    def _note(self, before: Finalization, after: Finalization) -> None:
        if before.status == after.status:
            return
        facts = {"finalization_id": after.finalization_id, "file_id": after.file_id}
        if after.status in ("failed", "rolled_back"):
            _log.warning(f"finalization_{after.status}", **facts, reason=after.error)
        else:
            _log.info(f"finalization_{after.status}", **facts)
        self._metrics.moved(before, after)

    async def _show(self) -> None:
        oldest = await self._store.oldest(UNDER_WAY)
        self._metrics.show(await self._store.count_by_status(), oldest=oldest)

    async def _forget(self, lease: Lease) -> None:
        """Some at a time, until none is left: a table that has grown for years is no reason to stop."""
        if time.monotonic() < self._forget_at:
            return
        forgotten = await self._store.forget(before=datetime.now(UTC) - self._retention, lease=lease)
        if forgotten:
            _log.info("finalizations_forgotten", finalizations=forgotten)
        if forgotten < FORGOTTEN_AT_ONCE:
            self._forget_at = time.monotonic() + FORGET_INTERVAL


def failed(one: Finalization, reason: str) -> Finalization:
    """Given up. What was done is undone next, unless the file is permanent already: then both copies stay.

    What is undone gives its key back: whoever repeats the request wants the file to become permanent, not to
    be told that it did not.
    """
    now = datetime.now(UTC)
    if one.is_switched:
        return one.with_(status="failed", error=reason, attempts=0, next_attempt_at=None, completed_at=now)
    return one.with_(status="failed", error=reason, attempts=0, next_attempt_at=now, request_key=None)
