"""Room for files: what is free, what uploads under way will need, and when to refuse."""

import asyncio
from types import TracebackType
from typing import Final, Self

from artstore.core.capacity import CapacityStatus, CapacityThresholds
from artstore.core.config import KIB, MIB
from artstore.core.exchange import Capacity
from artstore.core.spec import InsufficientStorageError, StorageBackend, Usage

STEP: Final = MIB
"""Bytes reserved at a time for a body that does not say its length."""

ON_THE_WAY: Final = 4 * MIB
"""Bytes of one upload that a storage may hold in memory: it has no room taken for them yet."""

OVERHEAD: Final = 16 * KIB
"""Bytes reserved for a sidecar and the blocks that its file and the data do not fill."""


class Room:
    """The space of an element, as of its last look at the storage, less what was promised since."""

    def __init__(self, storage: StorageBackend, thresholds: CapacityThresholds) -> None:
        self._storage = storage
        self._thresholds = thresholds
        self._usage = Usage(used=None)
        self._reserved = 0
        self._written = 0
        self._reservations: set[Reservation] = set()
        self._looking = asyncio.Lock()

    async def refresh(self) -> Capacity:
        """Look at the storage. It does not show what uploads have only just given to it."""
        async with self._looking:
            seen = self._written
            on_the_way = sum(min(each.written, ON_THE_WAY) for each in self._reservations)
            self._usage = await self._storage.usage()
            self._written += on_the_way - seen
            return self.capacity()

    def capacity(self) -> Capacity:
        """What the element says of its space."""
        usage = self._usage
        return Capacity(
            total=usage.total, used=usage.used, free=usage.free, status=self._status_with(self._promised)
        )

    async def reserve(self, size: int | None) -> "Reservation":
        """Room for a body of ``size`` bytes; of unknown length when that is ``None``.

        Raises:
            InsufficientStorageError: there is none, even after another look.
        """
        wanted = OVERHEAD + (STEP if size is None else size)
        if not self._fits(wanted):
            await self.refresh()
        self.take(wanted)
        return Reservation(self, wanted)

    def open(self, reservation: "Reservation") -> None:
        """From now on it counts what an upload writes."""
        self._reservations.add(reservation)

    def close(self, reservation: "Reservation") -> None:
        """What is left of it is void."""
        self._reservations.discard(reservation)
        self._reserved -= reservation.left

    def take(self, size: int) -> None:
        """Promise ``size`` bytes.

        Raises:
            InsufficientStorageError: they would fill the element.
        """
        if not self._fits(size):
            raise InsufficientStorageError(
                f"the element has no room for {size} bytes more: {self._usage.free} are free, "
                f"{self._promised} of them promised to other uploads, and some are kept free"
            )
        self._reserved += size

    def write(self, size: int) -> None:
        """``size`` promised bytes went to the storage."""
        self._reserved -= size
        self._written += size

    @property
    def _promised(self) -> int:
        return self._reserved + self._written

    def _fits(self, size: int) -> bool:
        return self._status_with(self._promised + size) != "full"

    def _status_with(self, promised: int) -> CapacityStatus:
        """The status when ``promised`` bytes of what was free are taken; unlimited stores are never full."""
        usage = self._usage
        if usage.free is None or usage.total is None:
            return "ok"
        free = usage.free - promised
        return "full" if free < 0 else self._thresholds.status(free=free, total=usage.total)


class Reservation:
    """Room that is promised to one upload, until the context ends."""

    def __init__(self, room: Room, size: int) -> None:
        self.left = size
        self.written = 0
        self._room = room

    def __enter__(self) -> Self:
        self._room.open(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._room.close(self)

    def use(self, size: int) -> None:
        """``size`` bytes go to the storage now; more than was promised is promised first.

        Raises:
            InsufficientStorageError: there is no more room.
        """
        if size > self.left:
            more = size - self.left + STEP
            self._room.take(more)
            self.left += more
        self._room.write(size)
        self.left -= size
        self.written += size
