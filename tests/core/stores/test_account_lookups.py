"""Accounts that are looked up together, on a database that takes its time to answer."""

import asyncio
from collections.abc import Sequence

import pytest

from artstore.core.spec import Database, Parameters, Row, UnavailableError
from artstore.core.stores.accounts import AccountsStore, ServiceAccount
from artstore.core.stores.forwarding import ForwardingDatabase
from tests.core.stores.test_accounts import account, change

STAND_IN = "sa_test_operator"


class SlowDatabase(ForwardingDatabase):
    """Keeps what it has read until ``may_answer``."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.lookups = 0
        self.has_read = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.failure: Exception | None = None

    async def fetch_all(self, sql: str, parameters: Parameters | None = None) -> Sequence[Row]:
        rows = await super().fetch_all(sql, parameters)
        self.lookups += 1
        self.has_read.set()
        await self.may_answer.wait()
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        return rows


@pytest.fixture
async def slow(database: Database) -> SlowDatabase:
    await AccountsStore(database).create(account("operator"))
    return SlowDatabase(database)


@pytest.fixture
def accounts(slow: SlowDatabase) -> AccountsStore:
    return AccountsStore(slow)


async def ask(accounts: AccountsStore, name: str) -> ServiceAccount | None:
    return await accounts.find_or_stand_in(f"sa_test_{name}", stand_in=STAND_IN)


async def test_nobody_is_given_what_was_read_before_they_asked(
    accounts: AccountsStore, slow: SlowDatabase
) -> None:
    await accounts.create(account("billing"))
    early = asyncio.create_task(ask(accounts, "billing"))
    await slow.has_read.wait()
    await change(accounts, "id-billing", status="suspended")

    late = asyncio.create_task(ask(accounts, "billing"))
    slow.may_answer.set()

    assert [found.status for found in await asyncio.gather(early, late) if found] == ["active", "suspended"]


async def test_those_who_ask_meanwhile_are_looked_up_together_and_each_gets_its_own(
    accounts: AccountsStore, slow: SlowDatabase
) -> None:
    names = [f"client-{number}" for number in range(20)]
    for name in names:
        await accounts.create(account(name))
    first = asyncio.create_task(ask(accounts, "operator"))
    await slow.has_read.wait()

    asked = [*names, *(f"stranger-{number}" for number in range(100)), *names]
    others = [asyncio.create_task(ask(accounts, name)) for name in asked]
    slow.may_answer.set()

    found = [account.name if account else None for account in await asyncio.gather(first, *others)]
    assert found == ["operator", *names, *["operator"] * 100, *names]
    assert slow.lookups == 3  # of 120 different ones, 100 at most with one


async def test_a_failure_is_told_to_all_who_waited_for_it_and_to_nobody_after_them(
    accounts: AccountsStore, slow: SlowDatabase
) -> None:
    slow.failure = UnavailableError("the disk is away")
    slow.may_answer.set()

    failed = await asyncio.gather(ask(accounts, "operator"), ask(accounts, "crm"), return_exceptions=True)

    assert [type(each) for each in failed] == [UnavailableError, UnavailableError]
    assert await ask(accounts, "operator") is not None


async def test_who_gives_up_does_not_keep_others_from_their_answer(
    accounts: AccountsStore, slow: SlowDatabase
) -> None:
    asking = [asyncio.create_task(ask(accounts, "operator")) for _ in range(3)]
    await slow.has_read.wait()

    asking[0].cancel()
    slow.may_answer.set()

    found = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(each) for each in found] == [asyncio.CancelledError, ServiceAccount, ServiceAccount]
