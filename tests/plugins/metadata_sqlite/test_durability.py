"""What was acknowledged survives a killed process, and what cannot be written is not acknowledged."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from artstore.core.spec import Database

OpenDatabase = Callable[..., AbstractAsyncContextManager[Database]]

CREATE = "CREATE TABLE IF NOT EXISTS numbers (number INTEGER PRIMARY KEY)"

PRELUDE = """
import asyncio, os, resource, sys
from pathlib import Path
from artstore.core.spec import UnavailableError
from artstore.core.testing import plugin_context
from artstore.plugins.metadata_sqlite.plugin import SqliteConfig, open_sqlite

def open_database():
    config = SqliteConfig(path=Path(sys.argv[1]), synchronous="normal", busy_timeout=60)
    return open_sqlite(config, plugin_context("metadata_sqlite"))

async def add(database, number):
    async with database.transaction() as transaction:
        await transaction.execute("INSERT INTO numbers (number) VALUES (:number)", {"number": number})
"""

ADD_FOR_EVER = """
async def add_some(database, first):
    for number in range(first, 1_000_000, 8):
        await add(database, number)
        os.write(1, b"%d\\n" % number)

async def main():
    async with open_database() as database:
        await asyncio.gather(*(add_some(database, first) for first in range(8)))

asyncio.run(main())
"""

ADD_WITHOUT_ROOM = """
async def main():
    async with open_database() as database:
        await add(database, 1)
        size = Path(sys.argv[1] + "-wal").stat().st_size
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, limits[1]))
        failed = await asyncio.gather(*(add(database, n) for n in (2, 3, 4)), return_exceptions=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        await add(database, 5)
        rows = await database.fetch_all("SELECT number FROM numbers ORDER BY number")
        print(*(type(error).__name__ for error in failed), *(row["number"] for row in rows))

asyncio.run(main())
"""

INCREMENT = """
async def increment(database):
    async with database.transaction() as transaction:
        row = await transaction.fetch_one("SELECT number FROM numbers")
        await transaction.execute("UPDATE numbers SET number = :number", {"number": row["number"] + 1})

async def main():
    async with open_database() as database:
        async with database.transaction() as transaction:
            await transaction.execute("CREATE TABLE IF NOT EXISTS numbers (number INTEGER)")
            await transaction.execute(
                "INSERT INTO numbers SELECT 0 WHERE NOT EXISTS (SELECT * FROM numbers)"
            )
        for _ in range(10):
            await asyncio.gather(*(increment(database) for _ in range(10)))

asyncio.run(main())
"""


@asynccontextmanager
async def process(script: str, path: Path) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    """Another process that uses the database."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PRELUDE + script, str(path), stdout=asyncio.subprocess.PIPE
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


@pytest.mark.parametrize(("synchronous", "level"), [("normal", 1), ("full", 2)])
async def test_commits_are_as_durable_as_configured(
    open_database: OpenDatabase, synchronous: str, level: int
) -> None:
    async with open_database(synchronous=synchronous) as database, database.transaction() as transaction:
        assert await transaction.fetch_one("PRAGMA synchronous") == {"synchronous": level}
        assert await transaction.fetch_one("PRAGMA journal_mode") == {"journal_mode": "wal"}


async def test_what_was_acknowledged_survives_a_killed_process(
    open_database: OpenDatabase, path: Path
) -> None:
    async with open_database() as database, database.transaction() as transaction:
        await transaction.execute(CREATE)

    async with process(ADD_FOR_EVER, path) as child:
        assert child.stdout is not None
        lines = [await child.stdout.readline() for _ in range(200)]
        child.kill()
        lines += (await child.stdout.read()).splitlines()
    async with open_database() as database:
        rows = await database.fetch_all("SELECT number FROM numbers")

    acknowledged = {int(line) for line in lines if line.strip().isdigit()}
    assert len(acknowledged) >= 100
    assert acknowledged <= {row["number"] for row in rows}


async def test_a_commit_that_cannot_be_written_fails_and_the_next_one_is_made(
    open_database: OpenDatabase, path: Path
) -> None:
    async with open_database() as database, database.transaction() as transaction:
        await transaction.execute(CREATE)

    async with process(ADD_WITHOUT_ROOM, path) as child:
        output, _ = await child.communicate()

    assert output.split()[-5:] == [b"UnavailableError"] * 3 + [b"1", b"5"]


async def test_processes_that_open_and_write_one_file_at_once_lose_nothing(
    open_database: OpenDatabase, path: Path
) -> None:
    async with process(INCREMENT, path) as first, process(INCREMENT, path) as second:
        statuses = [await child.wait() for child in (first, second)]

    async with open_database() as database:
        assert await database.fetch_all("SELECT number FROM numbers") == [{"number": 200}]
    assert statuses == [0, 0]
