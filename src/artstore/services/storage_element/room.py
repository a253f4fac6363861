"""Room for files: what is free, what uploads under way will need, and when to refuse."""

from types import TracebackType
from typing import Final, Self

from artstore.core.capacity import CapacityStatus, CapacityThresholds
from artstore.core.config import KIB, MIB
from artstore.core.exchange import Capacity
from artstore.core.spec import InsufficientStorageError, StorageBackend, Usage

STEP: Final = MIB
"""Bytes reserved at a time for a body that does not say its length."""

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

    async def refresh(self) -> Capacity:
        """Look at the storage."""
        self._usage = await self._storage.usage()
        self._written = 0
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

    def give_back(self, size: int) -> None:
        """The promise of ``size`` bytes is void."""
        self._reserved -= size

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
        self._room = room
        self._left = size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._room.give_back(self._left)

    def use(self, size: int) -> None:
        """``size`` bytes go to the storage now; more than was promised is promised first.

        Raises:
            InsufficientStorageError: there is no more room.
        """
        if size > self._left:
            more = size - self._left + STEP
            self._room.take(more)
            self._left += more
        self._room.write(size)
        self._left -= size
