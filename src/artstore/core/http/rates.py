"""How often somebody may ask: counted in windows, by all processes in the cache, else by this one alone."""

import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter

from artstore.core.logging import get_logger
from artstore.core.spec import Cache, TooManyRequestsError, UnavailableError

WINDOW: Final = 60
"""Seconds."""
OWN_WINDOWS: Final = 10_000
"""Counted by a process itself while the cache is away; then those that began first are forgotten."""
_log: Final = get_logger("rates")


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """So many requests in every window. ``name`` tells clients which limit they met."""

    name: str
    quota: int


@dataclass(frozen=True, slots=True)
class Rate:
    """What is left of a policy's quota, for the seconds that are left of its window."""

    policy: RatePolicy
    remaining: int
    reset: float
    is_exceeded: bool = False

    def headers(self) -> dict[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers-10 has them."""
        name = f'"{self.policy.name}"'
        return {
            "RateLimit-Policy": f"{name};q={self.policy.quota};w={WINDOW}",
            "RateLimit": f"{name};r={self.remaining};t={math.ceil(self.reset)}",
        }


class RateLimiter:
    """Counts what happens for a policy and a key."""

    def __init__(self, cache: Cache | None, rejections: Counter) -> None:
        self._cache = cache
        self._own = _OwnWindows()
        self._rejections = rejections
        self._cache_failed = False

    async def count(self, policy: RatePolicy, key: str) -> Rate:
        """Count one event."""
        events, reset = await self._increment(f"rate:{policy.name}:{key}")
        return Rate(policy, max(0, policy.quota - events), reset, is_exceeded=events > policy.quota)

    def refuse(self, rate: Rate) -> TooManyRequestsError:
        """The error for an exceeded rate; it is counted."""
        self._rejections.labels(rate.policy.name).inc()
        return TooManyRequestsError(
            f"more than {rate.policy.quota} requests in {WINDOW} seconds; wait as Retry-After says",
            retry_after=rate.reset,
        )

    async def _increment(self, key: str) -> tuple[int, float]:
        """A cache that is away ends no limit: each process then counts for itself."""
        if self._cache is None:
            return self._own.increment(key)
        try:
            counted = await self._cache.increment(key, window=WINDOW)
        except UnavailableError as error:
            if not self._cache_failed:
                _log.warning("rates_counted_alone", reason=error.detail)
            self._cache_failed = True
            return self._own.increment(key)
        self._cache_failed = False
        return counted


class _OwnWindows:
    """The windows of one process."""

    def __init__(self) -> None:
        self._windows: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def increment(self, key: str) -> tuple[int, float]:
        now = time.monotonic()
        events, end = self._windows.get(key, (0, 0.0))
        if end <= now:
            self._windows.pop(key, None)
            events, end = 0, now + WINDOW
        self._windows[key] = (events + 1, end)
        if len(self._windows) > OWN_WINDOWS:
            self._windows.popitem(last=False)
        return events + 1, end - now
