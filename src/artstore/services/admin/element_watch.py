"""Keeps the registry of storage elements up to date: asks each of them every few seconds how it is."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from artstore.core.exchange import ElementInfo
from artstore.core.logging import get_logger
from artstore.core.spec import AlreadyExistsError, ArtStoreError, NotFoundError, UpstreamError
from artstore.core.stores.elements import Element, ElementsStore
from artstore.core.stores.leases import Lease
from artstore.services.admin.elements import ElementRegistry, state_of

INTERVAL: Final = 2.0
"""Seconds between two looks. They may be old: it is the element that refuses what it has no room for."""

FIRST_RETRY: Final = 0.2
LAST_RETRY: Final = 2.0
"""Seconds between two attempts to register an element of the configuration, which double."""

MISSES: Final = 2
"""Looks in a row that must fail: one that fails is no absence, a cluster that starts has some."""

_log = get_logger("elements")


class ElementWatch:
    """Looks at every registered element, and registers those of the configuration once they answer."""

    def __init__(self, store: ElementsStore, registry: ElementRegistry, *, seeds: Sequence[str]) -> None:
        self._store = store
        self._registry = registry
        self._seeds = seeds
        self._misses = Counter[str]()

    async def run(self, lease: Lease) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for url in self._seeds:
                group.create_task(self._register(url))
            while True:
                elements = await self._store.list()
                await asyncio.gather(*map(self._look_at, elements))
                await asyncio.sleep(INTERVAL)

    async def _register(self, url: str) -> None:
        pause = FIRST_RETRY
        while True:
            try:
                element = await self._registry.register(url)
                _log.info("element_registered", element_id=element.element_id, url=url)
                return
            except AlreadyExistsError as error:
                _log.error("element_not_registered", url=url, reason=error.detail)
                return
            except ArtStoreError as error:
                # Elements often start after admin; the readiness tells of those that stay away.
                _log.debug("element_awaited", url=url, reason=error.detail)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_RETRY)

    async def _look_at(self, element: Element) -> None:
        try:
            info = await self._registry.ask(element.url)
            _require_same(element, info)
        except ArtStoreError as error:
            self._misses[element.element_id] += 1
            await self._note_miss(element, reason=error.detail)
        else:
            self._misses.pop(element.element_id, None)
            await self._note_online(element, info)

    async def _note_miss(self, element: Element, *, reason: str) -> None:
        if element.status == "offline" or self._misses[element.element_id] < MISSES:
            return
        _log.warning("element_went_offline", element_id=element.element_id, url=element.url, reason=reason)
        with suppress(NotFoundError):  # deleted meanwhile
            await self._store.mark_offline(element.element_id, at=datetime.now(UTC))

    async def _note_online(self, element: Element, info: ElementInfo) -> None:
        if element.status == "offline":
            _log.info("element_came_online", element_id=element.element_id, url=element.url)
        with suppress(NotFoundError):
            await self._store.update_state(element.element_id, state_of(info), seen_at=datetime.now(UTC))


def _require_same(element: Element, info: ElementInfo) -> None:
    if info.element_id != element.element_id:
        raise UpstreamError(f"at {element.url} is now storage element {info.element_id}; register it")
