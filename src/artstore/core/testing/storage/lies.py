"""Level *lie*: bodies that are not what was said of them, break off, or never end."""

import asyncio
import hashlib
from typing import Final

import pytest

from artstore.core.spec import ChecksumMismatchError, IncompleteBodyError, StorageBackend
from artstore.core.testing.bodies import body, broken_body, stalling_body
from artstore.core.testing.storage.subject import (
    LARGE,
    MIB,
    StorageSubject,
    listed,
    only_the_old_object_is_there,
    read,
)

STALLED: Final = 8


class StorageLieContract(StorageSubject):
    """Of a body that is not what it should be nothing is kept, and it holds up nobody else."""

    async def test_the_declared_size_and_digest_are_accepted(self, storage: StorageBackend) -> None:
        info = await storage.put(
            "key", body(LARGE), size=len(LARGE), sha256=hashlib.sha256(LARGE).hexdigest()
        )

        assert info.size == len(LARGE)

    @pytest.mark.parametrize("content", [b"content", LARGE], ids=["small", "large"])
    async def test_a_wrong_digest_stores_nothing(self, storage: StorageBackend, content: bytes) -> None:
        await storage.put("key", body(b"old"))
        declared = hashlib.sha256(b"something else").hexdigest()

        for key in ("key", "new"):
            with pytest.raises(ChecksumMismatchError) as mismatch:
                await storage.put(key, body(content), sha256=declared)

        assert mismatch.value.declared == declared
        assert mismatch.value.computed == hashlib.sha256(content).hexdigest()
        await only_the_old_object_is_there(storage)

    @pytest.mark.parametrize("difference", [-1, 1, -2 * MIB, 2 * MIB])
    async def test_a_body_of_another_size_stores_nothing(
        self, storage: StorageBackend, difference: int
    ) -> None:
        await storage.put("key", body(b"old"))

        for key in ("key", "new"):
            with pytest.raises(IncompleteBodyError):
                await storage.put(key, body(LARGE), size=len(LARGE) + difference)

        await only_the_old_object_is_there(storage)

    @pytest.mark.parametrize("chunks", [[], [b"begun"], [LARGE, LARGE]], ids=["none", "small", "large"])
    async def test_a_broken_body_raises_its_own_error_and_stores_nothing(
        self, storage: StorageBackend, chunks: list[bytes]
    ) -> None:
        await storage.put("key", body(b"old"))
        error = ConnectionResetError("the client went away")

        for key in ("key", "new"):
            with pytest.raises(ConnectionResetError) as raised:
                await storage.put(key, broken_body(*chunks, error=error))
            assert raised.value is error

        await only_the_old_object_is_there(storage)

    @pytest.mark.parametrize("chunks", [[b"begun"], [LARGE, LARGE]], ids=["small", "large"])
    async def test_a_cancelled_put_stores_nothing(self, storage: StorageBackend, chunks: list[bytes]) -> None:
        await storage.put("key", body(b"old"))

        for key in ("key", "new"):
            stalled = asyncio.Event()
            putting = asyncio.create_task(storage.put(key, stalling_body(*chunks, stalled=stalled)))
            await stalled.wait()
            putting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await putting

        await only_the_old_object_is_there(storage)

    @pytest.mark.parametrize(("content", "size"), [(b"", 1), (b"x", 0)])
    async def test_nothing_and_something_are_not_the_same(
        self, storage: StorageBackend, content: bytes, size: int
    ) -> None:
        await storage.put("key", body(b"old"))

        for key in ("key", "new"):
            with pytest.raises(IncompleteBodyError):
                await storage.put(key, body(content), size=size)

        await only_the_old_object_is_there(storage)

    async def test_stalled_bodies_hold_up_nobody(self, storage: StorageBackend) -> None:
        stalled = [asyncio.Event() for _ in range(STALLED)]
        putting = [
            asyncio.create_task(storage.put(f"stalled/{number}", stalling_body(b"begun", stalled=event)))
            for number, event in enumerate(stalled)
        ]
        await asyncio.gather(*[event.wait() for event in stalled])

        await storage.put("key", body(LARGE))
        await storage.put("other", body(b"content"))
        await storage.delete("other")
        assert await read(storage.get("key")) == LARGE
        assert await listed(storage) == ["key"]

        for task in putting:
            task.cancel()
        outcomes = await asyncio.gather(*putting, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        assert await listed(storage) == ["key"]
