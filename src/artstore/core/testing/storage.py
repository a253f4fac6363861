"""What every storage back end must do, as tests its author runs by overriding one fixture."""

import asyncio
import hashlib
import tracemalloc
from contextlib import AbstractAsyncContextManager
from datetime import UTC
from typing import ClassVar, Final

import pytest

from artstore.core.spec import (
    ByteRange,
    ChecksumMismatchError,
    IncompleteBodyError,
    InvalidRequestError,
    NotFoundError,
    RangeNotSatisfiableError,
    StorageBackend,
    StorageReader,
)
from artstore.core.testing.bodies import body, broken_body, generated_body, slow_body, stalling_body

MIB: Final = 1024 * 1024
LARGE: Final = bytes(range(256)) * (10 * 1024) + b"an odd end"
"""2.5 MiB: more than any single chunk."""

VALID_KEYS: Final = [
    "a",
    "2026/11/22/15/report.pdf",
    "отчёт за год/приложение №1.pdf",
    "写真/🗄 archive.jpg",
    "with space/and+plus&percent%20?query#fragment",
    "...",
    ".hidden/-dash",
    "s" * 255,
    "/".join(["ы" * 127, "w" * 255, "x" * 255, "y" * 255, "1"]),
]
INVALID_KEYS: Final = [
    "",
    "/absolute",
    "trailing/",
    "two//slashes",
    ".",
    "..",
    "a/./b",
    "a/../../b",
    "nul\0",
    "s" * 256,
    "ы" * 128,
    "/".join(["x" * 255] * 4 + ["12"]),
    "lone surrogate \udc80",
]
SORTED_KEYS: Final = ["A", "a-b", "a.d/z", "a/b", "a/b-c", "a/bb/c", "a0", "ab", "é", "я", "｡", "😀"]
"""In the order of their UTF-8 bytes, where directory order, UTF-16 and locales differ."""


async def read(context: AbstractAsyncContextManager[StorageReader]) -> bytes:
    """Everything that ``storage.get(…)`` gives."""
    async with context as reader:
        return b"".join([chunk async for chunk in reader.chunks])


class StorageContract:
    """Override ``storage`` with an empty back end and declare what it is and can do."""

    expected_capabilities: ClassVar[frozenset[str]]
    """As :meth:`Capabilities.names` gives them: an ability that vanishes is a failure, not a skip."""

    memory_bound: ClassVar[int] = 8 * MIB
    """Bytes by which memory may grow while an object of 32 MiB goes in and comes out."""

    @pytest.fixture
    async def storage(self) -> StorageBackend:
        """The back end to prove."""
        raise NotImplementedError("override this fixture")

    # What it is

    async def test_it_is_and_can_do_what_its_author_declares(self, storage: StorageBackend) -> None:
        assert frozenset(storage.capabilities.names()) == self.expected_capabilities

    async def test_usage_is_plausible(self, storage: StorageBackend) -> None:
        usage = await storage.usage()

        assert usage.used is None or usage.used >= 0
        assert usage.total is None or 0 <= (usage.free or 0) <= usage.total

    # Objects go in and come out

    @pytest.mark.parametrize(
        "chunks",
        [[], [b""], [b"x"], [b"one", b"", b"two"], [bytes(range(256))], [LARGE], [LARGE[:70_000]] * 40],
        ids=["none", "empty", "byte", "chunks", "binary", "large", "many"],
    )
    async def test_an_object_comes_back_byte_for_byte(
        self, storage: StorageBackend, chunks: list[bytes]
    ) -> None:
        await storage.put("key", body(*chunks))

        assert await read(storage.get("key")) == b"".join(chunks)

    @pytest.mark.parametrize("key", VALID_KEYS)
    async def test_an_object_is_found_under_its_key(self, storage: StorageBackend, key: str) -> None:
        await storage.put(key, body(b"content"))

        assert await read(storage.get(key)) == b"content"
        assert (await storage.head(key)).key == key
        assert await listed(storage) == [key]

    @pytest.mark.parametrize("key", INVALID_KEYS)
    async def test_an_invalid_key_is_refused(self, storage: StorageBackend, key: str) -> None:
        with pytest.raises(InvalidRequestError):
            await storage.put(key, body(b"content"))
        with pytest.raises(InvalidRequestError):
            await read(storage.get(key))
        with pytest.raises(InvalidRequestError):
            await storage.head(key)
        with pytest.raises(InvalidRequestError):
            await storage.delete(key)

    async def test_put_says_what_it_stored(self, storage: StorageBackend) -> None:
        info = await storage.put("key", body(b"con", b"tent"))

        assert (info.key, info.size) == ("key", 7)
        assert info.sha256 == hashlib.sha256(b"content").hexdigest()
        assert info.modified_at.tzinfo is not None
        assert info.modified_at.astimezone(UTC).year >= 2020

    async def test_every_way_to_ask_describes_the_same_object(self, storage: StorageBackend) -> None:
        info = await storage.put("key", body(b"content"))

        head = await storage.head("key")
        listing = [entry async for entry in storage.list()]
        async with storage.get("key") as reader:
            opened = reader.info

        for other in (head, opened, *listing):
            assert (other.key, other.size, other.etag) == (info.key, info.size, info.etag)
            assert other.modified_at == info.modified_at
            assert other.sha256 in (None, info.sha256)
        assert len(listing) == 1

    async def test_what_is_not_there_is_not_found(self, storage: StorageBackend) -> None:
        await storage.put("other/key", body(b"content"))

        for key in ("key", "other", "other/key/below"):
            with pytest.raises(NotFoundError):
                await storage.head(key)
            with pytest.raises(NotFoundError):
                await read(storage.get(key))

    async def test_chunks_are_small_and_none_is_empty(self, storage: StorageBackend) -> None:
        await storage.put("key", body(LARGE))

        async with storage.get("key") as reader:
            lengths = [len(chunk) async for chunk in reader.chunks]

        assert 0 < min(lengths) <= max(lengths) <= MIB

    async def test_a_reader_may_leave_early(self, storage: StorageBackend) -> None:
        await storage.put("key", body(LARGE))

        async with storage.get("key") as reader:
            first = await anext(reader.chunks)

        assert LARGE.startswith(first)
        assert [chunk async for chunk in reader.chunks] == []

    # Ranges

    @pytest.mark.parametrize(
        ("start", "end"),
        [(0, 0), (3, 6), (9, 9), (0, 9), (5, 100), (0, 2**62), (9, 10)],
    )
    async def test_a_range_is_given_and_cut_at_the_end(
        self, storage: StorageBackend, start: int, end: int
    ) -> None:
        await storage.put("key", body(b"0123456789"))

        async with storage.get("key", byte_range=ByteRange(start, end)) as reader:
            content = b"".join([chunk async for chunk in reader.chunks])

        assert content == b"0123456789"[start : end + 1]
        assert reader.info.size == 10

    async def test_a_range_spans_chunks(self, storage: StorageBackend) -> None:
        await storage.put("key", body(LARGE))

        content = await read(storage.get("key", byte_range=ByteRange(12_345, 2 * MIB + 67)))

        assert content == LARGE[12_345 : 2 * MIB + 68]

    @pytest.mark.parametrize(("content", "start"), [(b"0123456789", 10), (b"0123456789", 2**62), (b"", 0)])
    async def test_a_range_after_the_end_is_refused(
        self, storage: StorageBackend, content: bytes, start: int
    ) -> None:
        await storage.put("key", body(content))

        with pytest.raises(RangeNotSatisfiableError) as refusal:
            await read(storage.get("key", byte_range=ByteRange(start, start)))

        assert refusal.value.size == len(content)

    # Replacing and deleting

    async def test_put_replaces_the_whole_object(self, storage: StorageBackend) -> None:
        await storage.put("key", body(LARGE))
        await storage.put("key", body(b"new"))

        assert await read(storage.get("key")) == b"new"
        assert await listed(storage) == ["key"]

    async def test_each_version_has_its_own_etag(self, storage: StorageBackend) -> None:
        versions = [await storage.put("key", body(b"%04d" % number)) for number in range(20)]

        assert len({version.etag for version in versions}) == 20

    async def test_an_open_reader_keeps_its_version(self, storage: StorageBackend) -> None:
        await storage.put("replaced", body(LARGE))
        await storage.put("deleted", body(LARGE))

        async with storage.get("replaced") as replaced, storage.get("deleted") as deleted:
            await storage.put("replaced", body(b"new"))
            await storage.delete("deleted")
            contents = [b"".join([chunk async for chunk in reader.chunks]) for reader in (replaced, deleted)]

        assert contents == [LARGE, LARGE]

    async def test_a_deleted_object_is_gone(self, storage: StorageBackend) -> None:
        await storage.put("a/key", body(b"content"))
        await storage.put("a/other", body(b"other"))

        await storage.delete("a/key")

        with pytest.raises(NotFoundError):
            await storage.head("a/key")
        assert await listed(storage) == ["a/other"]

    async def test_deleting_is_idempotent(self, storage: StorageBackend) -> None:
        await storage.put("key", body(b"content"))

        await storage.delete("key")
        await storage.delete("key")

        assert await listed(storage) == []

    async def test_deleting_what_is_not_there_deletes_nothing(self, storage: StorageBackend) -> None:
        await storage.put("a/key", body(b"content"))

        for key in ("a", "a/other", "a/key/below", "never/there"):
            await storage.delete(key)

        assert await listed(storage) == ["a/key"]

    async def test_a_deleted_key_can_be_used_again(self, storage: StorageBackend) -> None:
        await storage.put("a/key", body(b"old"))
        await storage.delete("a/key")

        await storage.put("a/key", body(b"new"))

        assert await read(storage.get("a/key")) == b"new"

    # Listing

    async def test_nothing_is_listed_where_nothing_is(self, storage: StorageBackend) -> None:
        assert await listed(storage) == []

    async def test_keys_are_listed_in_the_order_of_their_bytes(self, storage: StorageBackend) -> None:
        for key in reversed(SORTED_KEYS):
            await storage.put(key, body(b""))

        assert await listed(storage) == SORTED_KEYS

    @pytest.mark.parametrize(
        "prefix", ["a", "a/", "a/b", "a/bb/", "a/bb/c", "a.", "é", "none", "/", "../", "a//"]
    )
    async def test_a_prefix_selects_keys_as_text(self, storage: StorageBackend, prefix: str) -> None:
        for key in SORTED_KEYS:
            await storage.put(key, body(b""))

        assert await listed(storage, prefix) == [key for key in SORTED_KEYS if key.startswith(prefix)]

    @pytest.mark.parametrize(
        "after", ["", "A", "a", "a/", "a/b", "a/b-", "a/bb/zz", "a/z", "é", "😀", "\U0010ffff"]
    )
    async def test_listing_goes_on_after_a_key(self, storage: StorageBackend, after: str) -> None:
        for key in SORTED_KEYS:
            await storage.put(key, body(b""))

        assert await listed(storage, after=after) == [key for key in SORTED_KEYS if key > after]
        assert await listed(storage, "a/", after=after) == [
            key for key in SORTED_KEYS if key > after and key.startswith("a/")
        ]

    async def test_a_long_listing_has_every_key_once(self, storage: StorageBackend) -> None:
        keys = [f"{number % 7}/{number:04}" for number in range(1100)]
        await asyncio.gather(*[storage.put(key, body(b"")) for key in keys])

        assert await listed(storage) == sorted(keys)

    # What must not be stored

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
        await self._only_the_old_object_is_there(storage)

    @pytest.mark.parametrize("difference", [-1, 1, -2 * MIB, 2 * MIB])
    async def test_a_body_of_another_size_stores_nothing(
        self, storage: StorageBackend, difference: int
    ) -> None:
        await storage.put("key", body(b"old"))

        for key in ("key", "new"):
            with pytest.raises(IncompleteBodyError):
                await storage.put(key, body(LARGE), size=len(LARGE) + difference)

        await self._only_the_old_object_is_there(storage)

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

        await self._only_the_old_object_is_there(storage)

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

        await self._only_the_old_object_is_there(storage)

    # Many at once

    async def test_racing_puts_leave_one_whole_object(self, storage: StorageBackend) -> None:
        contents = [bytes([number]) * (MIB + number) for number in range(8)]

        infos = await asyncio.gather(*[storage.put("key", slow_body(content)) for content in contents])

        winner = await read(storage.get("key"))
        assert winner in contents
        assert (await storage.head("key")).etag == infos[contents.index(winner)].etag

    async def test_a_reader_sees_whole_objects_while_they_are_replaced(self, storage: StorageBackend) -> None:
        contents = [bytes([number]) * 300_000 for number in range(20)]
        await storage.put("key", body(contents[0]))

        async def put_all() -> None:
            for content in contents:
                await storage.put("key", slow_body(content))

        async def read_until(putting: asyncio.Task[None]) -> None:
            while not putting.done():
                await asyncio.sleep(0)
                assert await read(storage.get("key")) in contents

        async with asyncio.TaskGroup() as group:
            group.create_task(read_until(group.create_task(put_all())))

    async def test_a_put_racing_a_delete_leaves_a_whole_object_or_none(self, storage: StorageBackend) -> None:
        for _ in range(10):
            await asyncio.gather(storage.put("a/key", slow_body(LARGE)), storage.delete("a/key"))

            for key in await listed(storage):
                assert await read(storage.get(key)) == LARGE

    async def test_fifty_puts_at_once_store_fifty_objects(self, storage: StorageBackend) -> None:
        contents = {f"{number % 5}/{number:02}": b"%d" % number * 1000 for number in range(50)}

        await asyncio.gather(*[storage.put(key, slow_body(content)) for key, content in contents.items()])

        assert {key: await read(storage.get(key)) for key in await listed(storage)} == contents

    # Memory

    async def test_memory_stays_bounded_while_a_large_object_passes(self, storage: StorageBackend) -> None:
        size = 32 * MIB
        tracemalloc.start()
        try:
            await storage.put("key", generated_body(size))
            async with storage.get("key") as reader:
                received = sum([len(chunk) async for chunk in reader.chunks])
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert received == size
        assert peak < self.memory_bound

    async def _only_the_old_object_is_there(self, storage: StorageBackend) -> None:
        assert await listed(storage) == ["key"]
        assert await read(storage.get("key")) == b"old"


async def listed(storage: StorageBackend, prefix: str = "", *, after: str | None = None) -> list[str]:
    return [info.key async for info in storage.list(prefix, after=after)]
