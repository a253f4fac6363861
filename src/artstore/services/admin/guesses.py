"""Ends guessing at a client's secret, however many addresses guess, without locking the client out."""

import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Final, TypeVar

from aiohttp import web

from artstore.core.http.addresses import client_address
from artstore.core.http.rates import Rate, RateLimiter, RatePolicy
from artstore.core.keys import RATE
from artstore.core.logging import get_logger
from artstore.core.protection import address_group
from artstore.core.spec import Cache, UnavailableError
from artstore.services.admin.client_requests import TokenRefusedError

T = TypeVar("T")

PROVED_FOR: Final = 86400.0
"""Seconds for which an address is known as the client's own after the client proved itself from there."""
_log: Final = get_logger("guesses")


class GuessLimit:
    """Wrong secrets per minute for one client id; 0 for no limit.

    Whoever reaches it keeps others from trying for the rest of the minute, but not the client where it
    is known. Client ids that nobody has are counted alike, so that nobody learns which exist. Without the
    cache there is no such limit; that of addresses remains.
    """

    def __init__(self, cache: Cache, limiter: RateLimiter, *, quota: int) -> None:
        self._cache = cache
        self._limiter = limiter
        self._policy = RatePolicy("failures", quota)

    async def guarded(self, request: web.Request, client_id: str, work: Callable[[], Awaitable[T]]) -> T:
        """What ``work`` gives, which authenticates ``client_id``.

        Raises:
            TooManyRequestsError: too many have failed, and the client is not known at this address.
        """
        if not self._policy.quota:
            return await work()
        client = sha256(client_id.encode()).hexdigest()
        known = f"proved:{client}:{address_group(client_address(request))}"
        await self._check(request, client, known)
        try:
            result = await work()
        except TokenRefusedError as refusal:
            if refusal.code == "invalid_client":
                await self._note_failure(client)
            raise
        await self._put(known, b"", ttl=PROVED_FOR)
        return result

    async def _check(self, request: web.Request, client: str, known: str) -> None:
        until = await self._get(f"guessed:{client}")
        if until is None or await self._get(known) is not None:
            return
        rate = request[RATE] = Rate(
            self._policy, remaining=0, reset=max(0.0, float(until) - time.time()), is_exceeded=True
        )
        raise self._limiter.refuse(rate)

    async def _note_failure(self, client: str) -> None:
        rate = await self._limiter.count(self._policy, client)
        if not rate.remaining:
            await self._put(f"guessed:{client}", str(time.time() + rate.reset).encode(), ttl=rate.reset)

    async def _get(self, key: str) -> bytes | None:
        try:
            return await self._cache.get(key)
        except UnavailableError as error:
            _log.warning("guesses_not_limited", reason=error.detail)
            return None

    async def _put(self, key: str, value: bytes, *, ttl: float) -> None:
        try:
            await self._cache.set(key, value, ttl=ttl)
        except UnavailableError as error:
            _log.warning("guesses_not_limited", reason=error.detail)
