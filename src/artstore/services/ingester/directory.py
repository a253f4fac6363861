"""The storage elements, as admin last described them."""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Final

from artstore.core.client.roles import RoleClient
from artstore.core.exchange import Element, ElementPage
from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError, UnavailableError

FIRST_INTERVAL: Final = 1.0
"""Seconds between two looks while the list still grows: a cluster that starts has more elements soon."""

LOOK_INTERVAL: Final = 0.5
"""Seconds between two looks at least, however many uploads want one because of what is not known."""

AVOIDED_FOR: Final = 5.0
"""Seconds for which an element that failed is tried last; admin notices an absence in about as long."""

_DEADLINE: Final = 5.0
_log: Final = get_logger("elements")


class ElementDirectory:
    """Keeps the list of elements fresh. While admin is away, the last list holds."""

    def __init__(self, client: RoleClient, *, admin_url: str, interval: float) -> None:
        self._client = client
        self._url = f"{admin_url}/api/v1/storage-elements?limit=1000"
        self._interval = interval
        self._elements: Sequence[Element] | None = None
        self._failure: str | None = None
        self._looked_at = -LOOK_INTERVAL
        self._looking = asyncio.Lock()
        self._failed: dict[str, float] = {}

    async def elements(self) -> Sequence[Element]:
        """Every known element; admin is asked when none is known.

        Raises:
            UnavailableError: admin has never answered.
        """
        return await self.newer_elements() if not self._elements else self._elements

    async def newer_elements(self) -> Sequence[Element]:
        """Every element that admin knows now, for who misses one. While admin is away, the last list holds.

        Raises:
            UnavailableError: admin has never answered.
        """
        await self._look()
        if self._elements is None:
            raise UnavailableError(f"no storage element is known yet: {self._failure}")
        return self._elements

    @property
    def avoided(self) -> set[str]:
        """The elements that failed lately."""
        now = monotonic()
        self._failed = {element_id: until for element_id, until in self._failed.items() if until > now}
        return set(self._failed)

    def avoid(self, element_id: str) -> None:
        """The element failed: take others first for a while."""
        self._failed[element_id] = monotonic() + AVOIDED_FOR

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            known = len(self._elements or ())
            await self._look()
            is_complete = self._elements and len(self._elements) == known
            await asyncio.sleep(self._interval if is_complete else min(FIRST_INTERVAL, self._interval))

    async def _look(self) -> None:
        """Ask admin, together with all who want to know meanwhile. A failure is noted, not raised."""
        wanted_at = monotonic()
        async with self._looking:
            if self._looked_at >= wanted_at:
                return
            await asyncio.sleep(self._looked_at + LOOK_INTERVAL - monotonic())
            self._looked_at = monotonic()
            try:
                page = await self._client.get(self._url, ElementPage, deadline=_DEADLINE)
            except ArtStoreError as error:
                await self._note_failure(error.detail)
            except Exception as error:
                # Whatever it was: with the task that follows, its group ended, and with that the server.
                await self._note_failure(type(error).__name__, error=error)
            else:
                self._elements = page.items
                self._failure = None

    async def check_elements(self) -> str:
        """For readiness: whether there is an element.

        Raises:
            UnavailableError: there is none.
        """
        if not (known := await self.elements()):
            raise UnavailableError("no storage element is registered")
        return f"{len(known)} known"

    async def check_admin(self) -> str:
        """For readiness: whether admin answered when it was asked last.

        Raises:
            UnavailableError: it did not.
        """
        if self._failure is not None:
            raise UnavailableError(self._failure)
        return "answers"

    async def _note_failure(self, reason: str, *, error: Exception | None = None) -> None:
        known, self._failure = self._failure, reason
        if known is None:
            # In a thread: showing the lines of a traceback reads source files.
            await asyncio.to_thread(_log.warning, "elements_not_refreshed", reason=reason, exc_info=error)
