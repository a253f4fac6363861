"""The time by which files expire: never later than two witnesses say, and counted from when both agree."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from pydantic import BaseModel, ValidationError

from artstore.core.attribute_fields import format_timestamp
from artstore.core.logging import get_logger
from artstore.core.spec import (
    ArtStoreError,
    InsufficientStorageError,
    NotFoundError,
    StorageBackend,
    UnavailableError,
)
from artstore.services.storage_element.clock import Clock
from artstore.services.storage_element.small_objects import put_small, read_small

CLOCK_KEY: Final = "clock.json"
_DIFFERENCE: Final = timedelta(seconds=1)
"""By which two clocks of one machine may differ: of the time of day, and of what has passed."""
_log: Final = get_logger("element")


class Witness(BaseModel):
    """A moment that was believed: ``at``, when the machine that ``boot`` names had run ``uptime`` seconds.

    ``seen`` is the latest one since.
    """

    boot: str
    at: datetime
    uptime: float
    seen: datetime


NOBODY: Final = Witness(
    boot="", at=datetime.fromtimestamp(0, UTC), uptime=0, seen=datetime.fromtimestamp(0, UTC)
)
"""Of a root that has files and no witness: so early that by it no file expires."""


class TrustedTime:
    """The time of day, checked against the time that has passed since it was last believed.

    The witness of that lies in the root, not in the catalog: whoever loses that loses no files.
    What passed is what the machine's uptime says, which nobody can set. Across restarts of the machine
    nothing says it, so there a jump of up to ``tolerance`` goes unnoticed.
    """

    def __init__(
        self, storage: StorageBackend, clock: Clock, *, tolerance: timedelta, boot: str, base: Witness
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._tolerance = tolerance
        self._boot = boot
        self._base = base
        # Without a name, each run of the machine is another one.
        self._is_from_before_boot = base.boot != boot or not boot
        self._is_believed = not self._is_from_before_boot

    @classmethod
    async def open(
        cls, storage: StorageBackend, clock: Clock, *, tolerance: timedelta, is_new_root: bool
    ) -> Self:
        """With what the last run left in the root; where there are no files, nothing contradicts the clock.

        What the files say of their time is no witness: clients and wrong clocks have made it.
        """
        boot = await asyncio.to_thread(clock.boot)
        base = await _read(storage)
        opened = cls(storage, clock, tolerance=tolerance, boot=boot, base=base or NOBODY)
        if base is None and is_new_root:
            opened._believe()
        # A full disk keeps no element from serving: then the next start has an older witness.
        with suppress(InsufficientStorageError, UnavailableError):
            await opened.keep()
        return opened

    def now(self) -> datetime:
        """The time of day, or what is proven where that is earlier."""
        return min(self._clock.now(), self._proven())

    def latest(self, now: datetime | None = None) -> datetime:
        """The time of day, which may have been read as ``now``, or what is proven where that is later by more
        than clocks differ: from then on is kept what has its time.

        Counted from a clock that went back, that would be over as soon as the clock is right again.
        """
        now = now or self._clock.now()
        proven = self._proven()
        return proven if proven - now > _DIFFERENCE else now

    def doubt(self) -> str | None:
        """Why the clock is not believed."""
        now, proven = self._clock.now(), self._proven()
        if abs(now - proven) <= self._tolerance:
            return None
        if self._base is NOBODY:
            return (
                f"the clock says {format_timestamp(now)}, and the root has no {CLOCK_KEY} that could tell "
                f"whether that is so: confirm that it is"
            )
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
        await put_small(self._storage, CLOCK_KEY, f"{witness.model_dump_json(indent=2)}\n".encode())


async def _read(storage: StorageBackend) -> Witness | None:
    """What the last run left. Whatever else is there witnesses nothing."""
    try:
        return Witness.model_validate_json(await read_small(storage, CLOCK_KEY))
    except NotFoundError:
        return None
    except (ArtStoreError, ValidationError) as error:
        _log.warning("witness_of_time_not_read", key=CLOCK_KEY, reason=type(error).__name__)
        return None
