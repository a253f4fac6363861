"""Level *behave*: what every storage back end does, one caller at a time."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC
from typing import ClassVar, Final

import pytest

from artstore.core.spec import (
    AlreadyExistsError,
    ByteRange,
    InvalidRequestError,
    NotFoundError,
    RangeNotSatisfiableError,
    StorageBackend,
)
from artstore.core.testing.bodies import body
from artstore.core.testing.storage.subject import LARGE, MIB, StorageSubject, listed, read

VALID_KEYS: Final = [
    "a",
    "2026/11/22/15/report.pdf",
    "отчёт за год/приложение №1.pdf",
    "写真/🗄 archive.jpg",
    "with space/and+plus&percent%20?query#fragment",
    "...",
    ".hidden/-dash",
    "tab\tand\nline",
    "s" * 255,
    "ы" * 127 + "/" + "я" * 127,
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

SAME_TO_SOME_EYES: Final = ["\u0439", "\u0438\u0306", "Key", "key", "key ", " key", "ﬁ", "fi"]
"""Composed and decomposed (NFC and NFD), upper and lower case, with and without a space, a ligature."""


class StorageContract(StorageSubject):
    """Whole objects under keys, ranges, order of listings: everything that needs only one caller."""

    long_listing: ClassVar[int] = 1100
    """Objects that are more than the back end lists at once."""

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

    async def test_an_object_is_found_under_the_longest_key(self, storage: StorageBackend) -> None:
        key = ("s" * 200 + "/") * 6
        key = key[: self.longest_key - 1] + "t"

        await storage.put(key, body(b"content"))

        assert await read(storage.get(key)) == b"content"
        assert await listed(storage) == [key]

    async def test_keys_that_look_alike_are_not_alike(self, storage: StorageBackend) -> None:
        for number, key in enumerate(SAME_TO_SOME_EYES):
            await storage.put(key, body(b"%d" % number))

        contents = [await read(storage.get(key)) for key in SAME_TO_SOME_EYES]
        assert contents == [b"%d" % number for number in range(len(SAME_TO_SOME_EYES))]
        assert await listed(storage) == sorted(SAME_TO_SOME_EYES)

    async def test_a_key_and_one_below_it_are_both_kept_or_the_second_is_refused(
        self, storage: StorageBackend
    ) -> None:
        await storage.put("a", body(b"above"))
        kept = {"a": b"above"}
        try:
            await storage.put("a/b", body(b"below"))
            kept["a/b"] = b"below"
        except AlreadyExistsError:
            # Where objects are files, none can be a directory as well.
            pass

        assert {key: await read(storage.get(key)) for key in await listed(storage)} == kept

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
            assert abs(other.modified_at - info.modified_at) <= self.time_resolution
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

    async def test_an_empty_object_is_an_object(self, storage: StorageBackend) -> None:
        info = await storage.put("key", body(), size=0, sha256=hashlib.sha256().hexdigest())

        async with storage.get("key") as reader:
            assert [chunk async for chunk in reader.chunks] == []
        assert info.size == reader.info.size == (await storage.head("key")).size == 0
        assert await listed(storage) == ["key"]

    async def test_a_body_need_not_be_a_generator(self, storage: StorageBackend) -> None:
        await storage.put("key", IterableBody())

        assert await read(storage.get("key")) == b"content"

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

    async def test_one_byte_is_given_wherever_it_is(self, storage: StorageBackend) -> None:
        await storage.put("key", body(LARGE))

        for position in (0, 255, MIB - 1, MIB, len(LARGE) - 1):
            byte_range = ByteRange(position, position)
            assert await read(storage.get("key", byte_range=byte_range)) == LARGE[position : position + 1]

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

    async def test_a_listing_goes_on_where_another_was_left(self, storage: StorageBackend) -> None:
        for key in SORTED_KEYS:
            await storage.put(key, body(b""))

        found: list[str] = []
        while next_key := await first_listed(storage, after=found[-1] if found else None):
            found.append(next_key)

        assert found == SORTED_KEYS

    async def test_a_listing_says_what_is_there_now(self, storage: StorageBackend) -> None:
        await storage.put("replaced", body(b"old"))
        await storage.put("same", body(b"content"))
        replaced = await storage.put("replaced", body(b"newer"))

        entry, same = [info async for info in storage.list()]

        assert (entry.key, entry.size, entry.etag) == ("replaced", 5, replaced.etag)
        assert (same.key, same.size) == ("same", 7)

    async def test_changes_during_a_listing_neither_hide_nor_repeat_what_stays(
        self, storage: StorageBackend
    ) -> None:
        stays = [f"{number:03}/stays" for number in range(self.long_listing // 10)]
        for key in stays:
            await storage.put(key, body(b""))
            await storage.put(key.replace("stays", "goes"), body(b""))

        found: list[str] = []
        async for info in storage.list():
            found.append(info.key)
            await storage.delete(info.key.replace("stays", "goes"))
            await storage.put(info.key.split("/")[0] + "/zz-comes", body(b""))

        assert found == sorted(set(found))
        assert [key for key in found if key.endswith("/stays")] == stays

    async def test_a_long_listing_has_every_key_once(self, storage: StorageBackend) -> None:
        keys = [f"{number % 7}/{number:04}" for number in range(self.long_listing)]
        await asyncio.gather(*[storage.put(key, body(b"")) for key in keys])

        assert await listed(storage) == sorted(keys)


class IterableBody:
    """A body that is no iterator itself."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return body(b"con", b"tent")


async def first_listed(storage: StorageBackend, *, after: str | None) -> str | None:
    """The first key after ``after``; the rest of the listing is left."""
    listing = storage.list(after=after)
    info = await anext(listing, None)
    if isinstance(listing, AsyncGenerator):
        await listing.aclose()
    return None if info is None else info.key
