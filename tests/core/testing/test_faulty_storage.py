"""The faulty storage has each of its faults when it is told to, and tells of itself what is true."""

import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from artstore.core.spec import ByteRange, NotFoundError, StorageBackend, UnavailableError
from artstore.core.testing import FaultyStorage, MemoryStorage, body, down, listed, plugin_context, read
from artstore.plugins.storage_local.plugin import LocalConfig, open_local


@pytest.fixture
async def storage() -> FaultyStorage:
    storage = FaultyStorage(MemoryStorage())
    await storage.put("key", body(b"old"))
    return storage


@pytest.fixture
async def local(tmp_path: Path) -> AsyncGenerator[StorageBackend, None]:
    async with open_local(LocalConfig(root=tmp_path / "root"), plugin_context("storage_local")) as local:
        yield local


async def test_a_put_fails_before_or_after_it_has_happened(storage: FaultyStorage) -> None:
    storage.fault_before_put = down
    with pytest.raises(UnavailableError):
        await storage.put("key", body(b"never"))
    assert await read(storage.get("key")) == b"old"

    storage.heal()
    storage.fault_after_put = down
    with pytest.raises(UnavailableError):
        await storage.put("key", body(b"new"))
    assert await read(storage.get("key")) == b"new"


async def test_a_put_fails_in_the_middle_of_its_body(storage: FaultyStorage) -> None:
    storage.fail_put_after = 4

    with pytest.raises(UnavailableError):
        await storage.put("key", body(b"12", b"34", b"5"))
    await storage.put("other", body(b"12", b"34"))

    assert await read(storage.get("key")) == b"old"
    assert await read(storage.get("other")) == b"1234"


async def test_every_other_call_fails(storage: FaultyStorage) -> None:
    storage.fault_on_get = storage.fault_on_head = storage.fault_on_delete = down
    storage.fault_on_list = storage.fault_on_usage = down

    with pytest.raises(UnavailableError):
        await read(storage.get("key"))
    with pytest.raises(UnavailableError):
        await storage.head("key")
    with pytest.raises(UnavailableError):
        await storage.delete("key")
    with pytest.raises(UnavailableError):
        await listed(storage)
    with pytest.raises(UnavailableError):
        await storage.usage()

    storage.heal()
    assert await listed(storage) == ["key"]


async def test_reads_are_cut_and_ranges_ignored_without_a_word(storage: FaultyStorage) -> None:
    storage.cut_reads_after = 2
    assert await read(storage.get("key")) == b"ol"

    storage.heal()
    storage.ignores_ranges = True
    assert await read(storage.get("key", byte_range=ByteRange(1, 1))) == b"old"


async def test_a_lost_key_is_nowhere(storage: FaultyStorage) -> None:
    storage.lost_keys.add("key")

    with pytest.raises(NotFoundError):
        await storage.head("key")
    with pytest.raises(NotFoundError):
        await read(storage.get("key"))
    assert await listed(storage) == []


async def test_it_is_slow(storage: FaultyStorage) -> None:
    storage.delay = 0.02
    began = time.monotonic()

    await storage.put("other", body(b"1", b"2", b"3"))

    assert time.monotonic() - began >= 4 * 0.02


async def test_it_hides_what_it_is_told_to_and_forwards_the_rest(local: StorageBackend) -> None:
    everything = set(local.capabilities.names())

    assert set(FaultyStorage(local).capabilities.names()) == everything
    assert set(FaultyStorage(local, has_batches=False).capabilities.names()) == everything - {"atomic_batch"}
    assert set(FaultyStorage(local, has_ways_past=False).capabilities.names()) == everything - {"local_paths"}
    assert isinstance(FaultyStorage(local).capabilities.atomic_batch, FaultyStorage)


async def test_a_batch_has_the_faults_of_each_key(local: StorageBackend) -> None:
    storage = FaultyStorage(local)
    storage.fault_before_put = lambda key: UnavailableError("no") if key == "b" else None

    with pytest.raises(UnavailableError):
        await storage.put_batch({"a": b"1", "b": b"2"})
    await storage.put_batch({"a": b"1"})

    assert await listed(storage) == ["a"]
