"""Hands the records of a spool over, in order, again and again until they are taken."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Final

from pydantic import ValidationError

from artstore.core.audit.record import AuditRecord
from artstore.core.audit.trail import AuditTrail
from artstore.core.cancellation import end_if_cancelled
from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError, UnavailableError

LINGER: Final = 0.5
"""Seconds in which more records may come that share the way."""

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 15.0
"""Seconds between two attempts while records are not taken."""

Deliver = Callable[[Sequence[bytes]], Awaitable[None]]
"""Takes canonical records: returns when they are in the log, or were before."""

_random: Final = Random()  # noqa: S311 - spreads retries and guards nothing
_log: Final = get_logger("audit")


class Shipper:
    """Ships the spool of one trail."""

    def __init__(self, trail: AuditTrail, deliver: Deliver) -> None:
        self._trail = trail
        self._deliver = deliver
        self._failure: str | None = None

    async def run(self) -> None:
        """Ship until cancelled."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._ship_next()
            except ArtStoreError as error:
                await self._note(error.detail)
            except Exception as error:
                # Whatever it was: without a shipper nothing that follows would ever come into the log.
                await self._note(f"{type(error).__name__}; the log of this role says more", error=error)
            else:
                self._failure, pause = None, FIRST_PAUSE
                await self._trail.spool.linger(LINGER)
                continue
            end_if_cancelled()
            await asyncio.sleep(pause * (0.5 + _random.random() / 2))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def check(self) -> str:
        """How it goes, for the readiness.

        Raises:
            UnavailableError: records are not taken.
        """
        waiting = self._trail.spool.depth
        if self._failure is not None:
            raise UnavailableError(f"{waiting} audit records wait: {self._failure}")
        return f"{waiting} audit records wait"

    async def _ship_next(self) -> None:
        batch = await self._trail.spool.next_batch()
        await self._deliver(batch.lines)
        await self._trail.spool.acknowledge(batch)

    async def _note(self, reason: str, *, error: Exception | None = None) -> None:
        """Log a failure when it begins, not at every attempt while it lasts."""
        self._trail.metrics.failures.inc()
        known, self._failure = self._failure, reason
        if reason != known:
            # In a thread: showing the lines of a traceback reads source files.
            await asyncio.to_thread(_log.warning, "audit_records_not_taken", reason=reason, exc_info=error)


@asynccontextmanager
async def shipping(trail: AuditTrail, deliver: Deliver) -> AsyncGenerator[Shipper, None]:
    """Ship in the background; what is not shipped at the end stays on the disk for the next process."""
    shipper = Shipper(trail, deliver)
    task = asyncio.create_task(shipper.run())
    try:
        yield shipper
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def read_records(lines: Sequence[bytes]) -> list[AuditRecord]:
    """The records of a batch.

    A line that a failing disk has made unreadable must not keep all others from the log: it is logged, and
    the gap that it leaves tells of it.
    """
    return [record for line in lines if (record := _parsed(line)) is not None]


def _parsed(line: bytes) -> AuditRecord | None:
    try:
        return AuditRecord.model_validate_json(line)
    except ValidationError:
        _log.error("audit_record_unreadable", size=len(line))
        return None
