"""Leases: one holder at a time, however many processes want it."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from artstore.core.spec import Database, PreconditionFailedError
from artstore.core.stores.leases import Lease, LeasesStore, require_lease
from artstore.core.testing import plugin_context
from artstore.plugins.metadata_sqlite.plugin import SqliteConfig, open_sqlite

HOUR = timedelta(hours=1)
INSTANT = timedelta(microseconds=1)


@pytest.fixture
def leases(database: Database) -> LeasesStore:
    return LeasesStore(database)


async def acquired(leases: LeasesStore, holder: str, *, duration: timedelta = HOUR) -> Lease:
    """The lease, as soon as it is free."""
    for _ in range(30_000):
        lease = await leases.acquire("indexer", holder=holder, duration=duration)
        if lease is not None:
            return lease
        await asyncio.sleep(0.001)
    pytest.fail("the lease was never free")


async def expire(leases: LeasesStore, lease: Lease) -> None:
    """Let the lease end by its own time."""
    assert await leases.renew(lease, duration=INSTANT) is not None
    await asyncio.sleep(0.005)


async def test_nobody_else_gets_a_lease_that_is_held(leases: LeasesStore) -> None:
    await acquired(leases, "first")

    assert await leases.acquire("indexer", holder="second", duration=HOUR) is None
    assert await leases.acquire("indexer", holder="first", duration=HOUR) is None


async def test_leases_of_different_names_do_not_meet(leases: LeasesStore) -> None:
    await acquired(leases, "first")

    assert await leases.acquire("scrubber", holder="second", duration=HOUR) is not None


async def test_a_lease_that_has_expired_goes_to_the_next_holder(leases: LeasesStore) -> None:
    first = await acquired(leases, "first")
    await expire(leases, first)

    second = await acquired(leases, "second")

    assert second.holder == "second"
    assert second.fencing_token > first.fencing_token


async def test_a_renewed_lease_lasts_longer(leases: LeasesStore) -> None:
    lease = await acquired(leases, "first")

    renewed = await leases.renew(lease, duration=2 * HOUR)

    assert renewed is not None
    assert renewed.fencing_token == lease.fencing_token
    assert renewed.expires_at > lease.expires_at


async def test_a_lost_lease_is_not_renewed(leases: LeasesStore) -> None:
    first = await acquired(leases, "first")
    await expire(leases, first)
    second = await acquired(leases, "second")

    assert await leases.renew(first, duration=HOUR) is None
    assert await leases.renew(second, duration=HOUR) is not None


async def test_an_expired_lease_is_not_renewed_even_if_nobody_took_it(leases: LeasesStore) -> None:
    lease = await acquired(leases, "first")
    await expire(leases, lease)

    assert await leases.renew(lease, duration=HOUR) is None


async def test_a_released_lease_is_free_at_once_and_its_token_grows(leases: LeasesStore) -> None:
    first = await acquired(leases, "first")
    await leases.release(first)
    await leases.release(first)

    second = await leases.acquire("indexer", holder="second", duration=HOUR)

    assert second is not None
    assert second.fencing_token > first.fencing_token


async def test_releasing_a_lost_lease_does_not_take_it_from_its_new_holder(leases: LeasesStore) -> None:
    first = await acquired(leases, "first")
    await expire(leases, first)
    await acquired(leases, "second")

    await leases.release(first)

    assert await leases.acquire("indexer", holder="third", duration=HOUR) is None


async def test_what_a_former_holder_writes_is_refused(database: Database, leases: LeasesStore) -> None:
    first = await acquired(leases, "first")
    await expire(leases, first)
    second = await acquired(leases, "second")

    async with database.transaction() as transaction:
        await require_lease(transaction, second)
    with pytest.raises(PreconditionFailedError, match="no longer held by first"):
        async with database.transaction() as transaction:
            await require_lease(transaction, first)


async def test_of_many_who_want_a_lease_at_once_one_gets_it(database_path: Path) -> None:
    config = SqliteConfig(path=database_path, synchronous="normal", readers=1)
    async with (
        open_sqlite(config, plugin_context("metadata_sqlite")) as here,
        open_sqlite(config, plugin_context("metadata_sqlite")) as there,
    ):
        stores = [LeasesStore(database) for database in (here, there)]

        leases = await asyncio.gather(
            *(
                stores[number % 2].acquire("indexer", holder=f"holder {number}", duration=HOUR)
                for number in range(20)
            )
        )

    assert sum(lease is not None for lease in leases) == 1


async def test_two_processes_never_both_hold_a_lease_that_keeps_expiring(database_path: Path) -> None:
    config = SqliteConfig(path=database_path, synchronous="normal", readers=1)
    tokens: list[int] = []

    async def compete(database: Database, holder: str) -> None:
        leases = LeasesStore(database)
        for _ in range(20):
            lease = await acquired(leases, holder, duration=timedelta(milliseconds=1))
            tokens.append(lease.fencing_token)

    async with (
        open_sqlite(config, plugin_context("metadata_sqlite")) as here,
        open_sqlite(config, plugin_context("metadata_sqlite")) as there,
    ):
        await asyncio.gather(compete(here, "here"), compete(there, "there"))

    assert sorted(tokens) == list(range(1, 41))
