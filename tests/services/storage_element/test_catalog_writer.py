"""Whoever waits for a transaction of the catalog learns what became of it, whoever else waits for it."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from artstore.core.ids import new_file_id
from artstore.core.spec import Database
from artstore.core.testing import plugin_context
from artstore.plugins.metadata_sqlite.plugin import SqliteConfig, open_sqlite
from artstore.services.storage_element.catalog import Catalog
from artstore.services.storage_element.catalog_schema import begin_log, begin_next, put_next_in_place


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database, None]:
    config = SqliteConfig(path=tmp_path / "catalog.db", synchronous="normal")
    async with open_sqlite(config, plugin_context("metadata_sqlite")) as database:
        async with database.transaction() as transaction:
            await begin_next(transaction, database.dialect, tag="first")
            await put_next_in_place(transaction, is_serving=False)
            await begin_log(transaction, database.dialect)
        yield database


async def test_who_gives_up_leaves_the_others_of_its_transaction_alone(database: Database) -> None:
    catalog = await Catalog.load(database, epoch="first")
    given_up, kept = new_file_id(), new_file_id()
    begun = [asyncio.create_task(catalog.begin("file_create", each, "a/b")) for each in (given_up, kept)]
    await asyncio.sleep(0)  # both are in one transaction, which nobody has written yet

    begun[0].cancel()
    await asyncio.wait(begun)

    assert begun[0].cancelled()
    assert begun[1].result().file_id == kept
    assert catalog.pending.keys() == {given_up, kept}


async def test_all_learn_that_their_transaction_failed(database: Database) -> None:
    catalog = await Catalog.load(database, epoch="first")
    async with database.transaction() as transaction:
        await transaction.execute("DROP TABLE catalog_wal")

    outcomes = await asyncio.gather(
        *(catalog.begin("file_create", new_file_id(), "a/b") for _ in range(3)), return_exceptions=True
    )

    assert all(isinstance(outcome, sqlite3.OperationalError) for outcome in outcomes)
    assert not catalog.pending
