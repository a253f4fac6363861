"""A mapping whose entries expire, and which never holds more than a fixed number of them."""

import heapq
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """A value, and when it expires on the mapping's clock."""

    value: T
    deadline: float


class ExpiringEntries(Generic[T]):
    """Makes room by dropping what has expired, and if nothing has, what was put first.

    Args:
        capacity: The most entries it holds.
        clock: Seconds on a clock that never goes back.

    """

    def __init__(self, capacity: int, clock: Callable[[], float]) -> None:
        self._capacity = capacity
        self._clock = clock
        # An ordered one: finding the oldest entry of a plain dict takes longer the more were removed.
        self._entries: OrderedDict[str, Entry[T]] = OrderedDict()
        # A heap, which finds expired entries without a search. What is replaced or removed leaves its
        # deadline behind; they are cleared away when they outnumber what the entries can be.
        self._deadlines: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Entry[T] | None:
        """The entry, unless it is absent or expired."""
        entry = self._entries.get(key)
        if entry is not None and entry.deadline <= self._clock():
            del self._entries[key]
            return None
        return entry

    def put(self, key: str, value: T, *, ttl: float) -> Entry[T]:
        """Hold ``value`` for ``ttl`` seconds; it becomes the youngest entry."""
        self.remove(key)
        entry = Entry(value, self._clock() + ttl)
        self._entries[key] = entry
        self._schedule(key, entry.deadline)
        if len(self._entries) > self._capacity:
            self._drop_one()
        return entry

    def remove(self, key: str) -> None:
        """Drop the entry, if it is there."""
        self._entries.pop(key, None)

    def _schedule(self, key: str, deadline: float) -> None:
        heapq.heappush(self._deadlines, (deadline, key))
        if len(self._deadlines) > 2 * self._capacity:
            self._deadlines = [(entry.deadline, key) for key, entry in self._entries.items()]
            heapq.heapify(self._deadlines)

    def _drop_one(self) -> None:
        now = self._clock()
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, key = heapq.heappop(self._deadlines)
            entry = self._entries.get(key)
            if entry is not None and entry.deadline == deadline:
                del self._entries[key]
                return
        self._entries.popitem(last=False)
