"""The indexer: follows the journal of every storage element and repeats it in the index."""

import asyncio
from typing import Final

from artstore.core.client.roles import RoleClient
from artstore.core.spec import UnavailableError
from artstore.core.stores.elements import ElementsStore
from artstore.core.stores.files import FilesStore
from artstore.core.stores.leases import Lease
from artstore.services.admin.journal_follower import JournalFollower
from artstore.services.admin.metrics import IndexMetrics

REGISTRY_INTERVAL: Final = 1.0
"""Seconds between two looks at which elements there are."""


class Indexer:
    """Follows all registered elements at once, each on its own: one that is down delays no other."""

    def __init__(
        self, files: FilesStore, elements: ElementsStore, client: RoleClient, metrics: IndexMetrics
    ) -> None:
        self._files = files
        self._elements = elements
        self._client = client
        self._metrics = metrics
        self._followers: dict[str, JournalFollower] = {}
        self._is_running = False

    async def run(self, lease: Lease) -> None:
        """Index until cancelled.

        Raises:
            PreconditionFailedError: the lease is lost, or somebody else has moved a position.
            UnavailableError: the database cannot be read.
        """
        self._is_running = True
        try:
            async with asyncio.TaskGroup() as group:
                tasks: dict[str, asyncio.Task[None]] = {}
                while True:
                    await self._match_registry(group, tasks, lease)
                    await asyncio.sleep(REGISTRY_INTERVAL)
        finally:
            self._is_running = False
            self._followers.clear()

    async def check(self) -> str:
        """What it does, for the readiness.

        Raises:
            UnavailableError: the journal of an element cannot be followed now.
        """
        if not self._is_running:
            return "another process indexes, or will soon"
        failures = {id_: f.failure for id_, f in self._followers.items() if f.failure is not None}
        if failures:
            raise UnavailableError("; ".join(f"{id_}: {failure}" for id_, failure in failures.items()))
        return f"following {len(self._followers)} storage elements"

    async def _match_registry(
        self, group: asyncio.TaskGroup, tasks: dict[str, asyncio.Task[None]], lease: Lease
    ) -> None:
        """Follow those, and only those, that are registered, where they are registered."""
        registered = {element.element_id: element.url for element in await self._elements.list()}
        for element_id, follower in list(self._followers.items()):
            if registered.get(element_id) != follower.url:
                tasks.pop(element_id).cancel()
                del self._followers[element_id]
        for element_id, url in registered.items():
            if element_id not in self._followers:
                follower = JournalFollower(
                    element_id,
                    url,
                    files=self._files,
                    client=self._client,
                    metrics=self._metrics,
                    lease=lease,
                )
                self._followers[element_id] = follower
                tasks[element_id] = group.create_task(follower.run())
