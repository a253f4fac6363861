"""The time by which files expire: never later than two witnesses say, and counted from when both agree."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final, Self
from uuid import UUID

from pydantic import BaseModel

from artstore.core.attribute_fields import format_timestamp
from artstore.core.logging import get_logger
from artstore.core.spec import Database
from artstore.services.storage_element.catalog_work import load_work, save_work
from artstore.services.storage_element.clock import Clock

NAME: Final = "clock"
_log: Final = get_logger("element")


class Witness(BaseModel):
    """A moment that was believed: ``at``, when the machine that ``boot`` names had run ``uptime`` seconds.

    ``seen`` is the latest one since.
    """

    boot: str
    at: datetime
    uptime: float
    seen: datetime


class TrustedTime:
    """The time of day, checked against the time that has passed since it was last believed.

    What passed is what the machine's uptime says, which nobody can set. Across restarts of the machine
    nothing says it, so there a jump of up to ``tolerance`` goes unnoticed.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        tolerance: timedelta,
        boot: str,
        base: Witness,
        is_new: bool,
    ) -> None:
        self._database = database
        self._clock = clock
        self._tolerance = tolerance
        self._boot = boot
        self._base = base
        # Without a name, each run of the machine is another one.
        self._is_from_before_boot = not is_new and (base.boot != boot or not boot)
        self._is_believed = not is_new and not self._is_from_before_boot

    @classmethod
    async def open(cls, database: Database, clock: Clock, *, tolerance: timedelta, newest_id: UUID) -> Self:
        """With what the last run left; else with the time in the newest id, before which it cannot be."""
        boot = await asyncio.to_thread(clock.boot)
        kept = await load_work(database, NAME, Witness)
        opened = cls(
            database,
            clock,
            tolerance=tolerance,
            boot=boot,
            base=kept or _first(clock, newest_id, boot=boot),
            is_new=kept is None,
        )
        await opened.keep()
        return opened

    def now(self) -> datetime:
        """The time of day, or what is proven where that is earlier."""
        return min(self._clock.now(), self._proven())

    def latest(self) -> datetime:
        """The time of day, or what is proven where that is later: from then on is kept what has its time.

        Counted from a clock that went back, that would be over as soon as the clock is right again.
        """
        return max(self._clock.now(), self._proven())

    def doubt(self) -> str | None:
        """Why the clock is not believed."""
        now, proven = self._clock.now(), self._proven()
        if abs(now - proven) <= self._tolerance:
            return None
        return (
            f"the clock says {format_timestamp(now)}, but by what has passed since it was last believed "
            f"it is {format_timestamp(proven)}: set it right, or confirm that it is"
        )

    async def keep(self) -> None:
        """Leave a witness for the next start, as long as the clock is believed."""
        if self.doubt() is not None:
            return
        if not self._is_believed:
            self._believe()
        await self._save(self._base.model_copy(update={"seen": self.now()}))

    async def confirm(self) -> None:
        """Somebody who knows says that the clock is right."""
        self._believe()
        _log.warning("clock_confirmed", time=format_timestamp(self._base.at))
        await self._save(self._base)

    def _proven(self) -> datetime:
        uptime = self._clock.uptime()
        if self._is_from_before_boot:
            return self._base.seen + timedelta(seconds=uptime)
        return self._base.at + timedelta(seconds=uptime - self._base.uptime)

    def _believe(self) -> None:
        now = self._clock.now()
        self._base = Witness(boot=self._boot, at=now, uptime=self._clock.uptime(), seen=now)
        self._is_from_before_boot = False
        self._is_believed = True

    async def _save(self, witness: Witness) -> None:
        async with self._database.transaction() as transaction:
            await save_work(transaction, NAME, witness)


def _first(clock: Clock, newest_id: UUID, *, boot: str) -> Witness:
    """Of a root that nobody has looked after yet: without a file, nothing contradicts the clock."""
    at = clock.now() if newest_id.int == 0 else _time_of(newest_id)
    return Witness(boot=boot, at=at, uptime=clock.uptime(), seen=at)


def _time_of(file_id: UUID) -> datetime:
    """Milliseconds since 1970 in its first 48 bits (RFC 9562 section 5.7)."""
    try:
        return datetime.fromtimestamp((file_id.int >> 80) / 1000, UTC)
    except (OverflowError, ValueError):
        return datetime.max.replace(tzinfo=UTC)
