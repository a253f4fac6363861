"""Follows the list of revoked tokens that admin publishes, and keeps it through an outage of admin."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Final

from aiohttp import web

from artstore.core.cancellation import end_if_cancelled
from artstore.core.client.roles import RoleClient
from artstore.core.keys import CACHE, CLIENT, HEALTH, REVOCATIONS, SETTINGS
from artstore.core.logging import get_logger
from artstore.core.revocation import KEPT_FOR, RevocationList, RevocationPage
from artstore.core.spec import ArtStoreError, Cache, UnavailableError
from artstore.core.waiting import pause_if_early

REVOCATIONS_PATH: Final = "/api/v1/auth/revocations"
LONG_POLL: Final = 8.0
"""Seconds admin may wait for the next revocation before it answers that there is none."""
ANSWER_TIMEOUT: Final = 10.0
"""Seconds admin has to answer beyond those it may wait."""
FIRST_PAUSE: Final = 0.2
LAST_PAUSE: Final = 0.5
"""Seconds between two attempts, which double, while admin does not answer: all requests wait for the first
list. The client's breaker sees to it that an admin that is away is called once per second at most."""
CACHE_KEY: Final = "artstore:revocations"

_log = get_logger("revocations")


class RevocationFollower:
    """Keeps a role's list equal to that of admin, and a copy in the cache for who starts without admin."""

    def __init__(self, known: RevocationList, client: RoleClient, cache: Cache, *, admin_url: str) -> None:
        self._known = known
        self._client = client
        self._cache = cache
        self._url = admin_url + REVOCATIONS_PATH
        self._position = ""
        self._failures = 0
        self._failure: str | None = None

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._load()
        while True:
            try:
                await self._read_on()
            except ArtStoreError as error:
                self._note_failure(error.detail)
            except Exception as error:
                # Whatever it was: a role that stops following would let suspended clients in for ever.
                self._note_failure(type(error).__name__, error=error)
            end_if_cancelled()
            if self._failure is not None:
                await asyncio.sleep(min(FIRST_PAUSE * 2 ** (self._failures - 1), LAST_PAUSE))

    async def check(self) -> str:
        """For the readiness: whether the list is up to date.

        Raises:
            UnavailableError: admin does not tell.
        """
        if self._failure is not None:
            raise UnavailableError(self._failure)
        return f"{len(self._known)} revoked"

    async def _read_on(self) -> None:
        # Whatever was missed during an outage is asked for without waiting.
        wait = LONG_POLL if self._position and self._failure is None else 0
        url = f"{self._url}?after={self._position}&wait={wait:g}"
        asked_at = monotonic()
        page = await self._client.get(url, RevocationPage, deadline=wait + ANSWER_TIMEOUT)
        self._known.add(page.items)
        if not page.has_more:
            self._known.is_there()
        self._failures, self._failure = 0, None
        if page.items:
            await self._save()
        elif page.position == self._position:
            await pause_if_early(asked_at, wait)
        self._position = page.position

    async def _load(self) -> None:
        """What another process of this cluster, or this one before a restart, knew."""
        with suppress(ArtStoreError, ValueError):
            if (dumped := await self._cache.get(CACHE_KEY)) is not None:
                self._known.load(dumped)
                self._known.is_there()

    async def _save(self) -> None:
        with suppress(ArtStoreError):  # the cache fails open: this process has the list itself
            await self._cache.set(CACHE_KEY, self._known.dump(), ttl=KEPT_FOR.total_seconds())

    def _note_failure(self, reason: str, *, error: Exception | None = None) -> None:
        self._failures = min(self._failures + 1, 16)
        if self._failure is None:
            _log.warning("revocations_not_followed", reason=reason, exc_info=error)
        self._failure = reason


@asynccontextmanager
async def follow_revocations(app: web.Application) -> AsyncGenerator[None, None]:
    """Let ``app`` refuse what is revoked for as long as it runs."""
    known = app[REVOCATIONS]
    known.expect()
    follower = RevocationFollower(known, app[CLIENT], app[CACHE], admin_url=app[SETTINGS].url("admin"))
    app[HEALTH].add("revocations", follower.check, required=False)
    task = asyncio.create_task(follower.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
