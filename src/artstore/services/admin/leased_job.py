"""A background job that one process at a time does: the one that holds its lease."""

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from prometheus_client import Gauge

from artstore.core.cancellation import end_if_cancelled
from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError, PreconditionFailedError
from artstore.core.stores.leases import Lease, LeasesStore

DURATION: Final = timedelta(seconds=10)
"""For this long nobody does the job after its holder died; a holder that stops gives it up at once."""

RENEWALS: Final = 4
"""Per duration: a renewal that comes late by a few seconds does not cost the lease."""

ATTEMPT_INTERVAL: Final = 1.0
"""Seconds between two attempts to get the lease, or to do the job again after it failed."""

_log = get_logger("jobs")


class LeasedJob:
    """Does ``work`` while this process holds the lease ``name``.

    ``work`` runs until it is cancelled. When it fails, the lease is given up, so that another process
    may have better luck.
    """

    def __init__(
        self, name: str, work: Callable[[Lease], Awaitable[None]], *, leases: LeasesStore, held: Gauge
    ) -> None:
        self._name = name
        self._work = work
        self._leases = leases
        self._held = held.labels(name)
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._failure: str | None = None

    async def run(self) -> None:
        """Be ready to do the job until cancelled; never raises otherwise."""
        while True:
            try:
                await self._attempt()
            except* ArtStoreError as group:
                self._note(str(_first(group)))
            except* Exception as group:
                self._note(type(_first(group)).__name__, error=group)
            end_if_cancelled()
            await asyncio.sleep(ATTEMPT_INTERVAL)

    async def _attempt(self) -> None:
        lease = await self._leases.acquire(self._name, holder=self._holder, duration=DURATION)
        if lease is None:
            return
        _log.info("lease_acquired", lease=self._name)
        self._held.set(1)
        # No task group: cancelled while a task of it fails, it forgets the cancellation (CPython gh-116720).
        tasks = [asyncio.create_task(self._keep(lease)), asyncio.create_task(self._do(lease))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._held.set(0)
            with suppress(ArtStoreError):  # it expires by itself
                await self._leases.release(lease)

    async def _keep(self, lease: Lease) -> None:
        while True:
            await asyncio.sleep(DURATION.total_seconds() / RENEWALS)
            if await self._leases.renew(lease, duration=DURATION) is None:
                raise PreconditionFailedError(f"the lease {self._name} was lost")
            self._failure = None

    async def _do(self, lease: Lease) -> None:
        await self._work(lease)

    def _note(self, reason: str, *, error: BaseException | None = None) -> None:
        """Log a failure when it begins, not every second while it lasts."""
        if reason != self._failure:
            _log.warning("job_failed", job=self._name, reason=reason, exc_info=error)
        self._failure = reason


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """Groups of tasks lie within each other, and so do their exceptions."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
