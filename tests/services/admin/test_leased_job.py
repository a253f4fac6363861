"""Jobs that one process at a time does, whatever happens to the process or to the job."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client import CollectorRegistry, Gauge
from structlog.testing import capture_logs

from artstore.core import migrations
from artstore.core.spec import Database, UnavailableError
from artstore.core.stores.leases import Lease, LeasesStore
from artstore.core.stores.rows import integer
from artstore.core.testing import plugin_context
from artstore.plugins.metadata_sqlite.plugin import SqliteConfig, open_sqlite
from artstore.services.admin import leased_job
from artstore.services.admin.leased_job import LeasedJob
from tests.services.admin.harness import eventually, run_sql


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything happens ten times faster."""
    monkeypatch.setattr(leased_job, "ATTEMPT_INTERVAL", 0.02)
    monkeypatch.setattr(leased_job, "DURATION", timedelta(seconds=2))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database, None]:
    config = SqliteConfig(path=tmp_path / "index.db", synchronous="normal")
    async with open_sqlite(config, plugin_context("metadata_sqlite")) as database:
        await asyncio.to_thread(migrations.upgrade, database.url)
        yield database


class Work:
    """A job that says what happens to it, and fails when it is told to."""

    def __init__(self) -> None:
        self.starts = 0
        self.is_running = False
        self.fail: Callable[[], Exception] | None = None
        self.failing = asyncio.Event()

    async def run(self, lease: Lease) -> None:
        self.starts += 1
        self.is_running = True
        try:
            await self.failing.wait()
            assert self.fail is not None
            raise self.fail()
        finally:
            self.is_running = False


@asynccontextmanager
async def running(work: Work, database: Database) -> AsyncGenerator[CollectorRegistry, None]:
    registry = CollectorRegistry()
    held = Gauge("held", "Whether the lease is held.", ["lease"], registry=registry)
    task = asyncio.create_task(LeasedJob("work", work.run, leases=LeasesStore(database), held=held).run())
    try:
        yield registry
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def wait_until(condition: Callable[[], bool]) -> None:
    async def holds() -> bool:
        return condition()

    await eventually(holds)


async def test_one_of_several_processes_does_the_job(database: Database) -> None:
    works = [Work() for _ in range(3)]
    async with running(works[0], database), running(works[1], database), running(works[2], database):
        await wait_until(lambda: any(work.is_running for work in works))
        await asyncio.sleep(0.2)

        assert sum(work.starts for work in works) == 1


async def test_the_job_goes_on_for_longer_than_one_lease(database: Database) -> None:
    one, other = Work(), Work()
    async with running(one, database):
        await wait_until(lambda: one.is_running)
        async with running(other, database):
            await renewed(database, by=leased_job.DURATION)

            assert (one.starts, one.is_running, other.starts) == (1, True, 0)


async def test_whoever_stops_lets_the_next_one_begin_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leased_job, "DURATION", timedelta(hours=1))
    one, other = Work(), Work()
    async with running(one, database):
        await wait_until(lambda: one.is_running)

    assert not one.is_running
    async with running(other, database):
        await wait_until(lambda: other.is_running)


async def renewed(database: Database, *, by: timedelta) -> None:
    """Wait until the lease ends later by as much than it does now."""

    async def end() -> int:
        row = await database.fetch_one("SELECT expires_at FROM leases WHERE name = 'work'")
        assert row is not None
        return integer(row, "expires_at")

    aim = await end() + by // timedelta(microseconds=1)

    async def is_renewed() -> bool:
        return await end() >= aim

    await eventually(is_renewed)


async def test_a_process_that_lost_its_lease_stops_the_job(database: Database, tmp_path: Path) -> None:
    work = Work()
    async with running(work, database):
        await wait_until(lambda: work.is_running)
        statement = "UPDATE leases SET holder = 'other', fencing_token = 99, expires_at = 1 << 62"
        await asyncio.to_thread(run_sql, tmp_path, statement)

        await wait_until(lambda: not work.is_running)
        await asyncio.sleep(0.2)

        assert work.starts == 1


AWAY: Final = UnavailableError("the database is away")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AWAY, "the database is away"),
        (ExceptionGroup("tasks", [ExceptionGroup("tasks", [AWAY])]), "the database is away"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
    ids=["domain error", "in a group", "bug"],
)
async def test_a_job_that_fails_is_told_once_tried_again_and_may_go_elsewhere(
    database: Database, error: Exception, reason: str
) -> None:
    one, other = Work(), Work()
    one.fail = lambda: error
    with capture_logs() as logs:
        async with running(one, database) as registry:
            await wait_until(lambda: one.is_running)
            assert registry.get_sample_value("held", {"lease": "work"}) == 1
            one.failing.set()
            await wait_until(lambda: one.starts > 3)
            async with running(other, database):
                await wait_until(lambda: other.is_running)

                assert not one.is_running
    assert [(log["job"], log["reason"]) for log in failures(logs)] == [("work", reason)]


async def test_a_job_that_recovered_is_told_of_again(database: Database) -> None:
    work = Work()
    work.fail = lambda: UnavailableError("away")
    work.failing.set()
    with capture_logs() as logs:
        async with running(work, database):
            await wait_until(lambda: work.starts > 2)
            work.failing.clear()
            # It has recovered when its lease has been renewed once.
            await wait_until(lambda: work.is_running)
            await renewed(database, by=leased_job.DURATION / leased_job.RENEWALS)
            work.failing.set()
            await wait_until(lambda: len(failures(logs)) == 2)


def failures(logs: list[Any]) -> list[Any]:
    return [log for log in logs if log["event"] == "job_failed"]
