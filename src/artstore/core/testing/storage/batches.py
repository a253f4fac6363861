"""What a storage back end with the ability ``atomic_batch`` must do besides."""

import asyncio
import hashlib

import pytest

from artstore.core.spec import (
    AtomicBatch,
    ByteRange,
    ContentTooLargeError,
    InvalidRequestError,
    NotFoundError,
    RangeNotSatisfiableError,
    StorageBackend,
)
from artstore.core.testing.bodies import body
from artstore.core.testing.storage.subject import LARGE, StorageSubject, listed, read


class AtomicBatchContract(StorageSubject):
    """Inherit it beside ``StorageContract``."""

    @pytest.fixture
    def batches(self, storage: StorageBackend) -> AtomicBatch:
        """The ability ``atomic_batch``."""
        batches = storage.capabilities.atomic_batch
        assert batches is not None
        return batches

    async def test_a_batch_comes_back_byte_for_byte(
        self, storage: StorageBackend, batches: AtomicBatch
    ) -> None:
        objects = {"a/data": LARGE[:70_000], "a/data.attr.json": b"{}", "empty": b""}

        infos = await batches.put_batch(objects)

        assert [info.key for info in infos] == list(objects)
        assert [info.size for info in infos] == [len(content) for content in objects.values()]
        digests = [hashlib.sha256(content).hexdigest() for content in objects.values()]
        assert all(info.sha256 in (None, digest) for info, digest in zip(infos, digests, strict=True))
        assert {key: await read(storage.get(key)) for key in objects} == objects
        assert await listed(storage) == sorted(objects)
        for info in infos:
            assert (await storage.head(info.key)).etag == info.etag

    async def test_a_batch_replaces_what_was_there(
        self, storage: StorageBackend, batches: AtomicBatch
    ) -> None:
        await storage.put("key", body(b"old"))

        for number in range(20):
            await batches.put_batch({"key": b"%d" % number, "other": b"%d" % number})
            assert await read(storage.get("key")) == b"%d" % number
            assert (await storage.head("other")).size == len(b"%d" % number)

        assert await listed(storage) == ["key", "other"]

    async def test_what_came_in_a_batch_is_replaced_and_deleted_as_any_object(
        self, storage: StorageBackend, batches: AtomicBatch
    ) -> None:
        await batches.put_batch({"replaced": b"old", "deleted": b"old", "again": b"old"})

        await storage.put("replaced", body(LARGE))
        await storage.delete("deleted")
        await storage.delete("again")
        await batches.put_batch({"again": b"new"})

        assert await listed(storage) == ["again", "replaced"]
        assert await read(storage.get("replaced")) == LARGE
        assert await read(storage.get("again")) == b"new"
        with pytest.raises(NotFoundError):
            await storage.head("deleted")

    @pytest.mark.parametrize("byte_range", [ByteRange(0, 0), ByteRange(2, 4), ByteRange(5, 100)])
    async def test_a_range_of_what_came_in_a_batch(
        self, storage: StorageBackend, batches: AtomicBatch, byte_range: ByteRange
    ) -> None:
        await batches.put_batch({"key": b"abcdefgh"})

        assert (
            await read(storage.get("key", byte_range=byte_range))
            == b"abcdefgh"[byte_range.start : byte_range.end + 1]
        )
        with pytest.raises(RangeNotSatisfiableError):
            await read(storage.get("key", byte_range=ByteRange(8, 9)))

    async def test_of_a_batch_that_is_refused_nothing_is_stored(
        self, storage: StorageBackend, batches: AtomicBatch
    ) -> None:
        with pytest.raises(ContentTooLargeError):
            await batches.put_batch({"a": b"small", "b": bytes(batches.max_batch_size)})
        with pytest.raises(InvalidRequestError):
            await batches.put_batch({"a": b"small", "../b": b"small"})

        assert await listed(storage) == []

    async def test_many_batches_at_once_are_all_stored(
        self, storage: StorageBackend, batches: AtomicBatch
    ) -> None:
        contents = {f"{number % 5}/{number:03}": b"%d" % number * 3000 for number in range(300)}

        await asyncio.gather(*[batches.put_batch({key: content}) for key, content in contents.items()])

        assert {key: await read(storage.get(key)) for key in await listed(storage)} == contents
