"""Each level of the storage contract notices what it is there to notice: bad back ends fail it."""

import asyncio
from collections.abc import AsyncIterable
from pathlib import Path

import pytest

from artstore.core.spec import ArtStoreError, ObjectInfo, StorageBackend
from artstore.core.testing import (
    FaultyStorage,
    MemoryStorage,
    StorageBudgetContract,
    StorageConcurrencyContract,
    StorageContract,
    StorageCrashContract,
    StorageLieContract,
    StorageOpening,
    UnreliableMediumContract,
)
from artstore.core.testing.storage.crash_work import steps


class Believer(FaultyStorage):
    """Takes any body for what it was said to be."""

    async def put(
        self, key: str, body: AsyncIterable[bytes], *, size: int | None = None, sha256: str | None = None
    ) -> ObjectInfo:
        return await super().put(key, body)


class Mixer(FaultyStorage):
    """Appends to what is there, so that two puts at once are mixed."""

    async def put(
        self, key: str, body: AsyncIterable[bytes], *, size: int | None = None, sha256: str | None = None
    ) -> ObjectInfo:
        content = b""
        async for chunk in body:
            content += chunk
            await super().put(key, _once(content))
            await asyncio.sleep(0)
        return await self.head(key)


class Hoarder(FaultyStorage):
    """Holds every body in memory and forgets a task each time."""

    async def put(
        self, key: str, body: AsyncIterable[bytes], *, size: int | None = None, sha256: str | None = None
    ) -> ObjectInfo:
        self._forgotten = asyncio.create_task(asyncio.Event().wait())
        _FORGOTTEN.add(self._forgotten)
        return await super().put(key, body, size=size, sha256=sha256)


_FORGOTTEN = set[asyncio.Task[bool]]()


async def _once(content: bytes) -> AsyncIterable[bytes]:
    yield content


def memory(kind: type[FaultyStorage] = FaultyStorage) -> FaultyStorage:
    return kind(MemoryStorage())


async def test_behave_notices_ranges_that_are_ignored() -> None:
    storage = memory()
    storage.ignores_ranges = True

    with pytest.raises(AssertionError):
        await StorageContract().test_a_range_is_given_and_cut_at_the_end(storage, 3, 6)


async def test_behave_notices_what_is_cut_or_lost() -> None:
    storage = memory()
    storage.cut_reads_after = 100
    with pytest.raises(AssertionError):
        await StorageContract().test_a_range_spans_chunks(storage)

    storage.heal()
    storage.lost_keys.add("key")
    with pytest.raises(ArtStoreError):
        await StorageContract().test_put_replaces_the_whole_object(storage)


async def test_behave_notices_an_ability_that_is_gone() -> None:
    class Declared(StorageContract):
        expected_capabilities = frozenset({"atomic_put", "presigner"})

    with pytest.raises(AssertionError):
        await Declared().test_it_is_and_can_do_what_its_author_declares(memory())


async def test_lie_notices_who_believes_everything() -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        await StorageLieContract().test_a_wrong_digest_stores_nothing(memory(Believer), b"content")
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        await StorageLieContract().test_a_body_of_another_size_stores_nothing(memory(Believer), 1)


async def test_lie_notices_what_a_broken_body_leaves() -> None:
    with pytest.raises(AssertionError):
        await StorageLieContract().test_a_cancelled_put_stores_nothing(memory(Mixer), [b"begun"])


async def test_concurrent_notices_halves() -> None:
    with pytest.raises(BaseExceptionGroup) as failure:
        await StorageConcurrencyContract().test_a_reader_sees_whole_objects_while_they_are_replaced(
            memory(Mixer)
        )
    assert failure.group_contains(AssertionError)


async def test_budget_notices_what_is_held_and_what_is_forgotten() -> None:
    with pytest.raises(AssertionError):
        await StorageBudgetContract().test_memory_stays_bounded_while_a_large_object_goes_in(memory())
    with pytest.raises(AssertionError):
        await StorageBudgetContract().test_after_many_operations_nothing_is_left_open(memory(Hoarder))
    for task in _FORGOTTEN:
        task.cancel()


def test_what_is_done_before_a_kill_is_the_same_every_time_and_of_every_kind() -> None:
    done = [step for run in range(20) for step in steps(run, 0, has_batches=True)]

    assert done == [step for run in range(20) for step in steps(run, 0, has_batches=True)]
    assert {len(step) for step in done} == {1, 2}
    assert any(None in step.values() for step in done)
    assert all(len(step) == 1 for step in steps(0, 1, has_batches=False))


@pytest.mark.parametrize("careless", ["in_place", "hasty"])
async def test_crash_notices(careless: str, tmp_path: Path) -> None:
    opening = StorageOpening("tests.core.testing.careless_plugin", careless, {"root": str(tmp_path / "root")})
    crash = StorageCrashContract()

    with pytest.raises(AssertionError):
        await crash.test_whatever_is_killed_what_was_acknowledged_is_whole_and_nothing_is_half_there(opening)


class SilentMedium:
    """Faults that the storage above passes on without a word."""

    def __init__(self, storage: FaultyStorage) -> None:
        self._storage = storage

    def fail(self, fault: str) -> None:
        if fault == "cut":
            self._storage.cut_reads_after = 1000
        else:
            self._storage.ignores_ranges = True

    def heal(self) -> None:
        self._storage.heal()


class SilentFaults(UnreliableMediumContract):
    put_faults = {"cut": None}  # noqa: RUF012 - a declaration


async def test_a_medium_that_cuts_and_ignores_is_noticed() -> None:
    storage: StorageBackend = (faulty := memory())
    medium, contract = SilentMedium(faulty), SilentFaults()

    with pytest.raises(AssertionError):
        await contract.test_a_get_gives_everything_or_fails(storage, medium, "cut")
    with pytest.raises(AssertionError):
        await contract.test_a_range_is_what_was_asked_for_or_fails(storage, medium, "ignored range")
    medium.heal()
    with pytest.raises(AssertionError):
        await contract.test_a_reader_gives_everything_or_fails(storage, medium, "cut")
