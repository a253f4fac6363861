"""Readers go on whatever the writer does, and do not write themselves."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest

from artstore.core.spec import Database, UnavailableError
from artstore.plugins.metadata_sqlite.handover import Results
from artstore.plugins.metadata_sqlite.readers import open_readers

OpenDatabase = Callable[..., AbstractAsyncContextManager[Database]]

PATIENCE = 60.0


@pytest.fixture
def other_process(path: Path) -> Generator[sqlite3.Connection, None, None]:
    """A connection of its own, as another process has one."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
        yield connection


async def test_readers_go_on_while_the_writer_waits_for_another_process(
    open_database: OpenDatabase, other_process: sqlite3.Connection
) -> None:
    async with open_database(busy_timeout=PATIENCE) as database, asyncio.timeout(PATIENCE):
        other_process.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(create_table(database))
        await asyncio.sleep(0)

        rows = await asyncio.gather(*(database.fetch_one("SELECT 1 AS one") for _ in range(20)))
        was_writing = not writing.done()
        other_process.execute("COMMIT")
        await writing

    assert was_writing
    assert rows == [{"one": 1}] * 20


async def test_a_writer_that_waited_too_long_for_another_process_is_unavailable_and_may_try_again(
    open_database: OpenDatabase, other_process: sqlite3.Connection
) -> None:
    async with open_database(busy_timeout=0.05) as database:
        async with database.transaction() as transaction:
            other_process.execute("BEGIN IMMEDIATE")
            with pytest.raises(UnavailableError, match="another process"):
                await transaction.execute("CREATE TABLE first (number INTEGER)")
            other_process.execute("COMMIT")
            await transaction.execute("CREATE TABLE second (number INTEGER)")

        assert await database.fetch_all("SELECT * FROM second") == []


async def test_a_reader_cannot_write(open_database: OpenDatabase) -> None:
    async with open_database() as database:
        await create_table(database)

        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await database.fetch_all("INSERT INTO numbers VALUES (1)")

        assert await database.fetch_all("SELECT * FROM numbers") == []


async def test_a_read_that_is_cancelled_before_its_turn_is_not_run() -> None:
    may_go_on = threading.Event()
    done: list[str] = []

    def note(name: str) -> Callable[[sqlite3.Connection], None]:
        return lambda _connection: done.append(name)

    with closing(Results()) as results:
        async with open_readers(lambda: sqlite3.connect(":memory:"), results, count=1) as readers:
            blocking = asyncio.create_task(readers.run(lambda _connection: may_go_on.wait()))
            cancelled = asyncio.create_task(readers.run(note("cancelled")))
            await asyncio.sleep(0)
            cancelled.cancel()
            await asyncio.sleep(0)
            may_go_on.set()
            await readers.run(note("last"))
            await blocking

    assert cancelled.cancelled()
    assert done == ["last"]


async def test_reads_that_come_together_do_not_wait_for_a_slow_one_among_them() -> None:
    may_go_on = threading.Event()

    with closing(Results()) as results:
        async with (
            open_readers(lambda: sqlite3.connect(":memory:"), results, count=3) as readers,
            asyncio.timeout(PATIENCE),
        ):
            slow = [asyncio.create_task(readers.run(lambda _connection: may_go_on.wait())) for _ in range(2)]
            quick = [asyncio.create_task(readers.run(lambda _connection: "done")) for _ in range(10)]
            answers = await asyncio.gather(*quick)
            was_slow = not any(task.done() for task in slow)
            may_go_on.set()
            await asyncio.gather(*slow)

    assert was_slow
    assert answers == ["done"] * 10


async def test_a_reader_that_took_one_row_of_many_does_not_hold_its_snapshot(
    open_database: OpenDatabase,
) -> None:
    async with open_database(readers=1) as database:
        await create_table(database)
        async with database.transaction() as transaction:
            await transaction.execute("INSERT INTO numbers VALUES (1), (2)")
        await database.fetch_one("SELECT number FROM numbers")

        async with database.transaction() as transaction:
            await transaction.execute("DELETE FROM numbers")

        assert await database.fetch_one("SELECT number FROM numbers") is None


async def create_table(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.execute("CREATE TABLE numbers (number INTEGER)")
