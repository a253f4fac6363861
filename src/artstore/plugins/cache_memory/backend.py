"""Keeps values, counts events and hands messages on, within one process."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Final

from artstore.core.spec import Cache, InvalidRequestError, PluginContext
from artstore.plugins.cache_memory.entries import ExpiringEntries

LONGEST_KEY: Final = 512
"""Characters."""

SUBSCRIBER_BACKLOG: Final = 1000
"""Messages that wait for one slow subscriber; then its oldest are dropped."""


@dataclass(slots=True)
class EventCount:
    """How many events a window has seen."""

    events: int = 0


class MemoryCache(Cache):
    """Values and counters have room of their own, so that no flood of values ends a rate limit."""

    def __init__(
        self, context: PluginContext, *, max_entries: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._values: ExpiringEntries[bytes] = ExpiringEntries(max_entries, clock)
        self._counters: ExpiringEntries[EventCount] = ExpiringEntries(max_entries, clock)
        self._subscribers: dict[str, set[asyncio.Queue[bytes]]] = {}
        self._count_dropped = context.metrics.counter(
            "messages_dropped_total", "Messages that a slow subscriber did not get."
        )

    async def get(self, key: str) -> bytes | None:
        entry = self._values.get(_checked(key))
        return None if entry is None else entry.value

    async def set(self, key: str, value: bytes, *, ttl: float) -> None:
        self._values.put(_checked(key), value, ttl=ttl)

    async def delete(self, key: str) -> None:
        self._values.remove(_checked(key))
        self._counters.remove(key)

    async def increment(self, key: str, *, window: float) -> tuple[int, float]:
        entry = self._counters.get(_checked(key)) or self._counters.put(key, EventCount(), ttl=window)
        entry.value.events += 1
        return entry.value.events, max(0.0, entry.deadline - self._clock())

    async def publish(self, channel: str, message: bytes) -> None:
        for queue in self._subscribers.get(channel, ()):
            if queue.full():
                queue.get_nowait()
                self._count_dropped()
            queue.put_nowait(message)

    async def subscribe(self, channel: str) -> AsyncGenerator[bytes, None]:
        queue: asyncio.Queue[bytes] = asyncio.Queue(SUBSCRIBER_BACKLOG)
        subscribers = self._subscribers.setdefault(channel, set())
        subscribers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            subscribers.discard(queue)
            if not subscribers:
                del self._subscribers[channel]


def _checked(key: str) -> str:
    if not 1 <= len(key) <= LONGEST_KEY:
        raise InvalidRequestError(f"a cache key has 1 to {LONGEST_KEY} characters")
    return key
