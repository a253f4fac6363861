"""How the database file is made, opened and refused."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from artstore.core.spec import ConfigurationError, CorruptedError, Database
from artstore.plugins.metadata_sqlite import file
from artstore.plugins.metadata_sqlite.handover import JobQueue, Results
from artstore.plugins.metadata_sqlite.plugin import SqliteConfig, artstore_metadata_providers
from artstore.plugins.metadata_sqlite.worker import Worker

OpenDatabase = Callable[..., AbstractAsyncContextManager[Database]]


def test_the_plugin_offers_a_database_of_type_sqlite() -> None:
    (provider,) = artstore_metadata_providers()

    assert (provider.name, provider.spec, provider.config) == ("sqlite", 1, SqliteConfig)


def test_the_defaults_are_durable(path: Path) -> None:
    config = SqliteConfig(path=path)

    assert (config.synchronous, config.readers) == ("full", 4)


def test_the_busy_timeout_is_in_seconds(path: Path) -> None:
    config = SqliteConfig.model_validate({"path": str(path), "busy_timeout": 2.5})

    assert config.busy_timeout == timedelta(seconds=2.5)


@pytest.mark.parametrize(
    "option", [{"synchronous": "off"}, {"readers": 0}, {"busy_timeout": 0}, {"sinchronous": "full"}]
)
def test_options_that_make_no_sense_are_refused(path: Path, option: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SqliteConfig.model_validate({"path": str(path), **option})


async def test_the_folder_and_a_private_file_are_made(tmp_path: Path, open_database: OpenDatabase) -> None:
    path = tmp_path / "data" / "база данных" / "artstore.db"

    async with open_database(path=path) as database:
        assert database.url == f"sqlite:///{path}"

    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_relative_path_is_that_of_the_moment_it_was_opened(
    tmp_path: Path, open_database: OpenDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async with open_database(path=Path("relative.db")) as database:
        assert database.url == f"sqlite:///{tmp_path}/relative.db"


async def test_what_was_written_is_there_when_opened_again(open_database: OpenDatabase) -> None:
    async with open_database() as database, database.transaction() as transaction:
        await transaction.execute("CREATE TABLE numbers (number INTEGER)")

    async with open_database() as database:
        assert await database.fetch_all("SELECT * FROM numbers") == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"this is a text, not a database\n" * 100, r"artstore\.db is not a database: correct `path`"),
        (b"SQLite format 3\0" + b"\xff" * 9000, r"artstore\.db is damaged: put a backup in its place"),
    ],
)
async def test_a_file_that_is_no_database_is_named_with_the_way_out(
    path: Path, open_database: OpenDatabase, content: bytes, told: str
) -> None:
    overwrite(path, content)

    with pytest.raises(ConfigurationError, match=told) as raised:
        async with open_database():
            pass

    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["folder", "below a file", "no such device"])
async def test_a_path_that_cannot_be_a_file_is_named(
    tmp_path: Path, open_database: OpenDatabase, kind: str
) -> None:
    (tmp_path / "file").touch()
    path = {
        "folder": tmp_path,
        "below a file": tmp_path / "file" / "artstore.db",
        "no such device": Path("/proc/nowhere/artstore.db"),
    }[kind]

    with pytest.raises(ConfigurationError, match=f"^the database {path} cannot be .*$"):
        async with open_database(path=path):
            pass


def test_a_database_that_cannot_have_a_log_is_refused(path: Path) -> None:
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(ConfigurationError, match=r"artstore\.db must be on a local disk"),
    ):
        file.use_log(connection, path)


async def test_a_damaged_page_is_not_given_out(path: Path, open_database: OpenDatabase) -> None:
    async with open_database() as database, database.transaction() as transaction:
        await transaction.execute("CREATE TABLE numbers (number INTEGER, filler TEXT)")
        await transaction.executemany(
            "INSERT INTO numbers VALUES (:number, :filler)",
            ({"number": number, "filler": "x" * 500} for number in range(1000)),
        )
    overwrite(path, b"\xff" * 20_000, offset=300_000)

    async with open_database() as database:
        with pytest.raises(CorruptedError):
            await database.fetch_all("SELECT * FROM numbers")


async def test_opening_that_is_cancelled_leaves_no_thread() -> None:
    may_connect = threading.Event()

    def connect() -> sqlite3.Connection:
        may_connect.wait()
        return sqlite3.connect(":memory:")

    async def open_worker() -> None:
        async with Worker("cancelled-worker", connect, jobs, results):
            pass

    jobs = JobQueue()
    with closing(Results()) as results:
        opening = asyncio.create_task(open_worker())
        await asyncio.sleep(0)
        opening.cancel()
        may_connect.set()
        await asyncio.wait([opening])

    assert opening.cancelled()
    assert "cancelled-worker" not in {thread.name for thread in threading.enumerate()}


async def test_many_may_make_one_file_at_once(path: Path) -> None:
    attempts = (
        asyncio.to_thread(file.prepare, path, tables=["CREATE TABLE IF NOT EXISTS t (x)"], busy_timeout=60)
        for _ in range(8)
    )

    assert await asyncio.gather(*attempts) == [path] * 8


def overwrite(path: Path, content: bytes, *, offset: int = 0) -> None:
    path.touch()
    with path.open("r+b") as opened:
        opened.seek(offset)
        opened.write(content)
