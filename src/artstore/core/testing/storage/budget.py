"""Level *budget*: what passes through, or is listed, is not held; what was opened is closed."""

import asyncio
import os
import tracemalloc
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from typing import ClassVar, Final

import pytest

from artstore.core.spec import NotFoundError, StorageBackend
from artstore.core.testing.bodies import body, broken_body, generated_body, stalling_body
from artstore.core.testing.storage.subject import LARGE, MIB, StorageSubject, read

PASSING: Final = 32 * MIB


class StorageBudgetContract(StorageSubject):
    """Memory, open files and tasks do not grow with what is stored, nor with time."""

    listed_objects: ClassVar[int] = 2000
    """Objects in the long listing."""

    async def test_memory_stays_bounded_while_a_large_object_goes_in(self, storage: StorageBackend) -> None:
        with traced() as memory:
            await storage.put("key", generated_body(PASSING))

        assert (await storage.head("key")).size == PASSING
        assert memory.peak < self.memory_bound

    async def test_memory_stays_bounded_while_a_large_object_comes_out(self, storage: StorageBackend) -> None:
        await storage.put("key", generated_body(PASSING))

        with traced() as memory:
            async with storage.get("key") as reader:
                received = sum([len(chunk) async for chunk in reader.chunks])

        assert received == PASSING
        assert memory.peak < self.memory_bound

    async def test_a_long_listing_is_not_held_in_memory(self, storage: StorageBackend) -> None:
        keys = [f"{number % 20:02}/{'long' * 60}/{number:04}" for number in range(self.listed_objects)]
        for start in range(0, len(keys), 100):
            await asyncio.gather(*[storage.put(key, body()) for key in keys[start : start + 100]])

        with traced() as memory:
            found = 0
            async for _ in storage.list():
                found += 1

        assert found == len(keys)
        assert memory.peak < self.listing_bound

    async def test_after_many_operations_nothing_is_left_open(self, storage: StorageBackend) -> None:
        await use_and_abuse(storage, times=5)
        files, tasks = await open_files(), len(asyncio.all_tasks())

        await use_and_abuse(storage, times=40)

        assert await open_files() <= files + self.open_files_bound
        assert len(asyncio.all_tasks()) <= tasks


class TracedMemory:
    """``peak`` is how many bytes were allocated at most while it was traced."""

    peak = 0


@contextmanager
def traced() -> Generator[TracedMemory, None, None]:
    """Counts what Python allocates within, beyond what was there before."""
    memory = TracedMemory()
    tracemalloc.start()
    try:
        yield memory
        _, memory.peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()


async def open_files() -> int:
    """How many this process has open, sockets among them."""
    return len(await asyncio.to_thread(os.listdir, "/proc/self/fd"))


async def use_and_abuse(storage: StorageBackend, *, times: int) -> None:
    """Every way in which a call may end, so many times each."""
    for _ in range(times):
        await storage.put("key", body(LARGE))
        await storage.usage()
        async with storage.get("key") as reader:
            await anext(reader.chunks)
        assert await read(storage.get("key")) == LARGE
        with pytest.raises(NotFoundError):
            await storage.head("none")
        with pytest.raises(NotFoundError):
            await read(storage.get("none"))
        with pytest.raises(ConnectionResetError):
            await storage.put("key", broken_body(b"begun", error=ConnectionResetError()))
        await cancel_put(storage)
        await leave_listing(storage)
        await storage.delete("key")


async def cancel_put(storage: StorageBackend) -> None:
    stalled = asyncio.Event()
    putting = asyncio.create_task(storage.put("key", stalling_body(b"begun", stalled=stalled)))
    await stalled.wait()
    putting.cancel()
    await asyncio.wait([putting])


async def leave_listing(storage: StorageBackend) -> None:
    listing = storage.list()
    await anext(listing, None)
    if isinstance(listing, AsyncGenerator):
        await listing.aclose()
