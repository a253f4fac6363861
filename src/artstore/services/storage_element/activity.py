"""What an element is doing: how many operations of each kind are under way."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping

from artstore.core.modes import Operation


class Activity:
    """Counts operations, so that a change of mode can wait for those that the new mode does not allow."""

    def __init__(self) -> None:
        self._running = Counter[Operation]()
        self._ended = asyncio.Event()

    def begin(self, operation: Operation) -> None:
        """One more is under way, until it is ended."""
        self._running[operation] += 1

    def end(self, operation: Operation) -> None:
        """One less is."""
        self._running[operation] -= 1
        self._ended.set()

    def count(self, operations: Collection[Operation]) -> Mapping[Operation, int]:
        """How many of ``operations`` are under way, by kind; those of which there are none are absent."""
        return {each: self._running[each] for each in operations if self._running[each]}

    async def end_of(self, operations: Collection[Operation]) -> None:
        """Return when none of ``operations`` is under way. One caller at a time."""
        while self.count(operations):
            self._ended.clear()
            await self._ended.wait()
