"""A storage that holds whoever lists it, until a test lets go."""

import asyncio
from collections.abc import AsyncIterator

from artstore.core.spec import ObjectInfo, StorageBackend
from tests.services.storage_element.faulty_storage import FaultyStorage


class HeldStorage(FaultyStorage):
    """Lists some sidecars, and the others when it is let go on."""

    def __init__(self, storage: StorageBackend, *, held_after: int) -> None:
        super().__init__(storage)
        self.go_on = asyncio.Event()
        self.is_held = asyncio.Event()
        self.listed_after: list[str | None] = []
        self.failure: Exception | None = None
        self._held_after = held_after

    async def list(self, prefix: str = "", *, after: str | None = None) -> AsyncIterator[ObjectInfo]:
        self.listed_after.append(after)
        sidecars = 0
        async for info in super().list(prefix, after=after):
            if info.key.endswith(".attr.json"):
                sidecars += 1
                if sidecars > self._held_after:
                    self.is_held.set()
                    await self.go_on.wait()
                    if self.failure is not None:
                        raise self.failure
            yield info


class Holder:
    """Wraps the storage of an element, and holds it by its first rebuild while that serves."""

    def __init__(self, *, held_after: int = 4) -> None:
        self.storage: HeldStorage
        self._held_after = held_after

    def wrap(self, storage: StorageBackend) -> StorageBackend:
        self.storage = HeldStorage(storage, held_after=self._held_after)
        return self.storage
