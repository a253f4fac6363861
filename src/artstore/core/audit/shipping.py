"""Hands the records of a spool over, in order, again and again until they are taken."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Final

from artstore.core.audit.trail import AuditTrail
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
        spool, pause = self._trail.spool, FIRST_PAUSE
        while True:
            batch = await spool.next_batch()
            try:
                await self._deliver(batch.lines)
            except ArtStoreError as error:
                self._note(error.detail)
                await asyncio.sleep(pause * (0.5 + _random.random() / 2))
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self._failure, pause = None, FIRST_PAUSE
                await spool.acknowledge(batch)
                await spool.linger(LINGER)

    async def check(self) -> str:
        """How it goes, for the readiness.

        Raises:
            UnavailableError: records are not taken.
        """
        waiting = self._trail.spool.depth
        if self._failure is not None:
            raise UnavailableError(f"{waiting} audit records wait: {self._failure}")
        return f"{waiting} audit records wait"

    def _note(self, reason: str) -> None:
        """Log a failure when it begins, not at every attempt while it lasts."""
        self._trail.metrics.failures.inc()
        if reason != self._failure:
            _log.warning("audit_records_not_taken", reason=reason)
        self._failure = reason


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
