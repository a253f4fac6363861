"""Finalizations are kept: one of a file at a time, one of a key, and never by two at once."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from artstore.core.finalization import ACTIVE, UNDER_WAY
from artstore.core.spec import AlreadyExistsError, Database, NotFoundError, PreconditionFailedError
from artstore.core.stores.finalizations import Finalization, FinalizationsStore
from artstore.core.stores.leases import LeasesStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(database: Database) -> FinalizationsStore:
    return FinalizationsStore(database)


def wanted(**fields: Any) -> Finalization:
    """A finalization that somebody has asked for."""
    defaults: dict[str, Any] = {
        "finalization_id": str(uuid4()),
        "file_id": str(uuid4()),
        "requested_by": "client",
        "source_element_id": "se-01",
        "target_element_id": "se-02",
        "file_size": 10,
        "checksum": "0" * 64,
        "next_attempt_at": NOW,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Finalization(**{**defaults, **fields})


async def test_what_was_begun_is_read_back(store: FinalizationsStore) -> None:
    one = wanted(request_key="client k", is_target_requested=True)

    assert await store.begin(one) == one
    assert await store.get(one.finalization_id) == one
    assert await store.latest_of(one.file_id) == one


@pytest.mark.parametrize("status", ACTIVE)
async def test_a_file_has_one_that_is_under_way(store: FinalizationsStore, status: str) -> None:
    first = await store.begin(wanted(status=status))

    assert await store.begin(wanted(file_id=first.file_id)) == first


@pytest.mark.parametrize("status", ["completed", "failed", "rolled_back"])
async def test_after_one_has_ended_a_file_may_have_another(store: FinalizationsStore, status: str) -> None:
    first = await store.begin(wanted(status=status))
    second = wanted(file_id=first.file_id, created_at=NOW + timedelta(seconds=1))

    assert await store.begin(second) == second
    assert await store.latest_of(first.file_id) == second


async def test_a_key_finds_its_finalization_whatever_became_of_it(store: FinalizationsStore) -> None:
    first = await store.begin(wanted(request_key="client k", status="rolled_back"))

    assert await store.begin(wanted(file_id=first.file_id, request_key="client k")) == first
    with pytest.raises(AlreadyExistsError, match="send a new one"):
        await store.begin(wanted(request_key="client k"))


async def test_of_those_begun_at_once_one_is_kept(store: FinalizationsStore) -> None:
    file_id = str(uuid4())

    begun = await asyncio.gather(*(store.begin(wanted(file_id=file_id)) for _ in range(10)))

    assert len({one.finalization_id for one in begun}) == 1


async def test_of_two_that_know_the_same_only_the_first_can_save(store: FinalizationsStore) -> None:
    one = await store.begin(wanted())

    saved = await store.save(one.with_(status="copying"))
    late = await store.save(one.with_(status="failed"))

    assert saved is not None
    assert (saved.status, saved.revision) == ("copying", 1)
    assert late is None
    assert (await store.get(one.finalization_id)).status == "copying"


async def test_who_has_lost_the_lease_saves_nothing(store: FinalizationsStore, database: Database) -> None:
    leases = LeasesStore(database)
    lost = await leases.acquire("finalizer", holder="first", duration=timedelta(0))
    assert lost is not None
    assert await leases.acquire("finalizer", holder="second", duration=timedelta(hours=1)) is not None
    one = await store.begin(wanted())

    with pytest.raises(PreconditionFailedError):
        await store.save(one.with_(status="copying"), lease=lost)

    assert (await store.get(one.finalization_id)).status == "pending"


async def test_what_is_due_comes_in_the_order_of_its_waiting(store: FinalizationsStore) -> None:
    hour = timedelta(hours=1)
    later = await store.begin(wanted(next_attempt_at=NOW))
    first = await store.begin(wanted(next_attempt_at=NOW - hour))
    await store.begin(wanted(next_attempt_at=NOW + hour))
    await store.begin(wanted(next_attempt_at=None, status="completed"))

    assert list(await store.due(NOW, limit=10)) == [first, later]
    assert list(await store.due(NOW, limit=1)) == [first]


async def test_what_ended_long_ago_is_forgotten_and_what_needs_a_look_is_not(
    store: FinalizationsStore, database: Database
) -> None:
    lease = await LeasesStore(database).acquire("finalizer", holder="first", duration=timedelta(hours=1))
    assert lease is not None
    day, ends = timedelta(days=1), {"next_attempt_at": None}
    for status in ("completed", "rolled_back"):
        await store.begin(wanted(**ends, status=status, completed_at=NOW - day, created_at=NOW - 2 * day))
    kept = [
        await store.begin(wanted(**ends, status="completed", completed_at=NOW, created_at=NOW - 2 * day)),
        await store.begin(wanted(**ends, status="failed", completed_at=NOW - day, created_at=NOW - 2 * day)),
        await store.begin(wanted(created_at=NOW - 2 * day)),
    ]

    assert await store.forget(before=NOW, lease=lease) == 2

    assert {one.finalization_id for one in (await store.list()).items} == {
        one.finalization_id for one in kept
    }


async def test_progress_is_noted_and_decides_nothing(store: FinalizationsStore) -> None:
    one = await store.begin(wanted())

    await store.note_progress(one.finalization_id, 7)

    assert (await store.get(one.finalization_id)).bytes_copied == 7
    assert await store.save(one.with_(status="copied")) is not None


async def test_they_are_listed_newest_first_and_counted(store: FinalizationsStore) -> None:
    begun = [
        await store.begin(wanted(created_at=NOW + timedelta(seconds=second), status=status))
        for second, status in enumerate(["copying", "completed", "copying"])
    ]

    page = await store.list(status="copying", limit=1)

    assert (list(page.items), page.total) == ([begun[2]], 2)
    assert list((await store.list(limit=1, offset=1)).items) == [begun[1]]
    assert (await store.list(file_id=begun[0].file_id)).total == 1
    await store.begin(wanted(status="completed", next_attempt_at=None))
    assert await store.count_by_status() == {"copying": 2, "completed": 1}
    assert await store.oldest(UNDER_WAY) == NOW
    assert await store.oldest(["failed"]) is None


async def test_one_that_is_unknown_is_not_found(store: FinalizationsStore) -> None:
    with pytest.raises(NotFoundError):
        await store.get(str(uuid4()))
