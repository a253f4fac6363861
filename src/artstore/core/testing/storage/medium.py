"""Level *lie*, below the back end: a disk or a server that fails, cuts short or does not obey."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import ClassVar, Final, Protocol

import pytest

from artstore.core.spec import ArtStoreError, ByteRange, StorageBackend
from artstore.core.testing.bodies import body
from artstore.core.testing.storage.subject import MIB, StorageSubject, listed, read

OLD: Final = bytes(range(256)) * (32 * 1024)
"""8 MiB: more than the buffers between a server and its client hold."""
NEW: Final = OLD[:MIB] + b"new" + OLD[: 2 * MIB]


class UnreliableMedium(Protocol):
    """What is below the back end, made to fail by its author: a layer of system calls, a proxy, a server."""

    def fail(self, fault: str) -> None:
        """Have this fault from now on."""
        ...

    def heal(self) -> None:
        """Have none from now on."""
        ...


class UnreliableMediumContract(StorageSubject):
    """Override ``medium``, which ``storage`` must stand on, and name the faults it can have.

    Whatever the medium does: a call gives the truth or raises, and what was there before is not harmed.
    """

    put_faults: ClassVar[Mapping[str, type[ArtStoreError] | None]]
    """Faults that meet a put, with what it raises; ``None`` where it has to succeed all the same."""

    get_faults: ClassVar[Sequence[str]]
    """Faults that meet a get, a head or a range from their beginning."""

    reading_faults: ClassVar[Sequence[str]]
    """Faults that begin when a reader has given its first chunk."""

    @pytest.fixture
    def medium(self) -> UnreliableMedium:
        """What ``storage`` stands on."""
        raise NotImplementedError("override this fixture")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test for each fault that the author names."""
        for fixture in ("put_fault", "get_fault", "reading_fault"):
            if fixture in metafunc.fixturenames:
                metafunc.parametrize(fixture, list(getattr(self, f"{fixture}s")))

    async def test_a_put_tells_the_truth(
        self, storage: StorageBackend, medium: UnreliableMedium, put_fault: str
    ) -> None:
        await storage.put("key", body(OLD))
        error = self.put_faults[put_fault]

        medium.fail(put_fault)
        for key in ("key", "a/new/key"):
            if error is None:
                await storage.put(key, body(NEW))
                continue
            with pytest.raises(error):
                await storage.put(key, body(NEW))
        medium.heal()

        kept = {key: await read(storage.get(key)) for key in await listed(storage)}
        assert kept.pop("key") in ([NEW] if error is None else [OLD, NEW])
        assert kept in ([{"a/new/key": NEW}] if error is None else [{}, {"a/new/key": NEW}])

    async def test_after_a_failed_put_the_next_succeeds(
        self, storage: StorageBackend, medium: UnreliableMedium, put_fault: str
    ) -> None:
        medium.fail(put_fault)
        if (error := self.put_faults[put_fault]) is not None:
            with pytest.raises(error):
                await storage.put("key", body(OLD))
        medium.heal()

        await storage.put("key", body(NEW))

        assert await read(storage.get("key")) == NEW
        assert await listed(storage) == ["key"]

    async def test_a_batch_is_stored_as_a_whole_or_not_at_all(
        self, storage: StorageBackend, medium: UnreliableMedium, put_fault: str
    ) -> None:
        if (batches := storage.capabilities.atomic_batch) is None:
            return
        old, new = {"key": b"old", "other": b"old"}, {"key": b"new", "other": b"new"}
        await batches.put_batch(old)

        medium.fail(put_fault)
        outcomes = [old, new]
        with suppress(ArtStoreError):
            await batches.put_batch(new)
            outcomes = [new]
        medium.heal()

        assert {key: await read(storage.get(key)) for key in new} in outcomes

    async def test_a_get_gives_everything_or_fails(
        self, storage: StorageBackend, medium: UnreliableMedium, get_fault: str
    ) -> None:
        await storage.put("key", body(OLD))

        medium.fail(get_fault)
        content = await what_is_read(storage)
        medium.heal()

        assert content in (OLD, None)
        assert await read(storage.get("key")) == OLD

    async def test_a_range_is_what_was_asked_for_or_fails(
        self, storage: StorageBackend, medium: UnreliableMedium, get_fault: str
    ) -> None:
        await storage.put("key", body(OLD))
        byte_range = ByteRange(MIB, 3 * MIB)

        medium.fail(get_fault)
        content = await what_is_read(storage, byte_range)
        medium.heal()

        assert content in (OLD[byte_range.start : byte_range.end + 1], None)

    async def test_a_head_is_right_or_fails(
        self, storage: StorageBackend, medium: UnreliableMedium, get_fault: str
    ) -> None:
        info = await storage.put("key", body(OLD))

        medium.fail(get_fault)
        try:
            head = await storage.head("key")
        except ArtStoreError:
            head = None
        medium.heal()

        assert head is None or (head.size, head.etag) == (info.size, info.etag)

    async def test_a_reader_gives_everything_or_fails(
        self, storage: StorageBackend, medium: UnreliableMedium, reading_fault: str
    ) -> None:
        await storage.put("key", body(OLD))

        content: bytes | None = b""
        try:
            async with storage.get("key") as reader:
                content = await anext(reader.chunks)
                medium.fail(reading_fault)
                content += b"".join([chunk async for chunk in reader.chunks])
        except ArtStoreError:
            content = None
        medium.heal()

        assert content in (OLD, None)


async def what_is_read(storage: StorageBackend, byte_range: ByteRange | None = None) -> bytes | None:
    """``None`` if it fails as a storage may."""
    try:
        return await read(storage.get("key", byte_range=byte_range))
    except ArtStoreError:
        return None
