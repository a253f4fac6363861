"""The spool survives its process, shares syncs, and never holds up what may go on."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from prometheus_client import CollectorRegistry

from artstore.core.audit.record import AuditRecord, Happening
from artstore.core.audit.shipping import shipping
from artstore.core.audit.spool_files import SEGMENT_SIZE, SpoolFiles
from artstore.core.audit.trail import AuditTrail, open_trail
from artstore.core.spec import ConfigurationError, UnavailableError
from tests.core.audit.records import BEGIN
from tests.services.admin.harness import eventually

MIB: Final = 1024 * 1024

CHILD: Final = """
import asyncio, sys
from pathlib import Path
from tests.core.audit.test_spool import a_trail, happening

async def main():
    async with a_trail(Path(sys.argv[1])) as trail:
        for number in range(1_000_000):
            await trail.add(happening(str(number)))
            print(number, flush=True)

asyncio.run(main())
"""


class Log:
    """Takes records when it is there."""

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []
        self.is_there = True

    async def take(self, lines: Sequence[bytes]) -> None:
        if not self.is_there:
            raise UnavailableError("the log is away")
        self.records += [AuditRecord.model_validate_json(line) for line in lines]

    @property
    def events(self) -> list[str]:
        return [record.event for record in self.records]


def happening(event: str = "delete_file") -> Happening:
    """Something that happened."""
    return Happening(
        occurred_at=BEGIN, kind="sensitive_operation", event=event, outcome="succeeded", role="admin"
    )


def decision(address: str) -> Happening:
    """Somebody without a token."""
    return happening("list_files").model_copy(
        update={"kind": "authentication", "outcome": "denied", "client_address": address}
    )


def found(directory: Path, pattern: str) -> list[Path]:
    return sorted(directory.glob(pattern))


@asynccontextmanager
async def a_trail(directory: Path, *, limit: int = MIB) -> AsyncGenerator[AuditTrail, None]:
    async with open_trail(directory, role="admin", limit=limit, registry=CollectorRegistry()) as trail:
        yield trail


async def shipped_by_another(directory: Path) -> Log:
    """What the next process finds."""
    log = Log()
    async with a_trail(directory) as trail, shipping(trail, log.take):
        await trail.spool.shipped()
    return log


async def test_what_was_awaited_survives_a_kill(tmp_path: Path) -> None:
    child = await asyncio.to_thread(
        subprocess.Popen, [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    for _ in range(50):
        await asyncio.to_thread(child.stdout.readline)
    child.send_signal(signal.SIGKILL)
    said, _ = await asyncio.to_thread(child.communicate)
    last = 49 + len(said.splitlines())

    log = await shipped_by_another(tmp_path)

    kept = [event for event in log.events if event.isdigit()]
    assert kept[: last + 1] == [str(number) for number in range(last + 1)]
    sequences = [record.sequence for record in log.records if record.source == log.records[0].source]
    assert sequences == list(range(1, len(sequences) + 1))


async def test_what_has_waited_long_does_not_wait_for_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("artstore.core.audit.spool.LONGEST_WAIT", 0)
    monkeypatch.setattr("artstore.core.audit.shipping.LINGER", 3600)
    log = Log()
    async with a_trail(tmp_path, limit=4 * MIB) as trail:

        async def is_shipped() -> bool:
            return trail.spool.depth == 0

        await asyncio.gather(*(trail.add_unawaited(happening(f"{number:500}")) for number in range(600)))

        async with shipping(trail, log.take):  # in several batches
            await eventually(is_shipped)

    assert [event.strip() for event in log.events[1:]] == [str(number) for number in range(600)]


async def test_a_line_that_a_crash_tore_is_no_record(tmp_path: Path) -> None:
    async with a_trail(tmp_path) as trail:
        await trail.add(happening("whole"))
    (segment,) = found(tmp_path, "**/*.jsonl")
    with segment.open("ab") as file:
        file.write(b'{"event":"to')

    log = await shipped_by_another(tmp_path)

    assert log.events == ["started", "whole", "stopped", "started"]


async def test_records_wait_while_the_log_is_away_and_arrive_in_order(tmp_path: Path) -> None:
    log = Log()
    log.is_there = False
    async with a_trail(tmp_path) as trail, shipping(trail, log.take) as shipper:
        for number in range(20):
            await trail.add(happening(str(number)))

        async def is_told() -> bool:
            try:
                await shipper.check()
            except UnavailableError as error:
                return "20" in error.detail or "21" in error.detail
            return False

        await eventually(is_told)
        assert trail.spool.depth >= 20
        assert trail.spool.oldest_age() > 0
        log.is_there = True
        await trail.spool.shipped()

    assert log.events == ["started", *map(str, range(20))]
    assert trail.spool.oldest_age() < 60


async def test_a_log_that_fails_as_nobody_thought_it_could_has_the_records_later(tmp_path: Path) -> None:
    log, failures = Log(), [ValueError("no hex digits")]

    async def take(lines: Sequence[bytes]) -> None:
        if failures:
            raise failures.pop()
        await log.take(lines)

    async with a_trail(tmp_path) as trail, shipping(trail, take):
        await trail.add(happening())
        await trail.spool.shipped()

    assert log.events == ["started", "delete_file"]


async def test_nothing_is_shipped_twice_that_was_taken(tmp_path: Path) -> None:
    log = Log()
    async with a_trail(tmp_path, limit=64 * MIB) as trail, shipping(trail, log.take):
        size = 0
        while size < 2 * SEGMENT_SIZE:
            record = happening("x" * 500)
            size += 500
            trail.add_soon(record)
            if size % 100_000 == 0:
                await trail.spool.shipped()
        await trail.spool.shipped()

        sequences = [record.sequence for record in log.records]
        assert sequences == list(range(1, len(sequences) + 1))
        assert sum(path.stat().st_size for path in found(tmp_path, "**/*.jsonl")) <= SEGMENT_SIZE
        assert trail.spool.depth == 0


async def test_many_that_wait_share_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs, sync = list[int](), os.fdatasync

    def counted(descriptor: int) -> None:
        syncs.append(descriptor)
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", counted)

    async with a_trail(tmp_path) as trail:
        await asyncio.gather(*(trail.add(happening(str(number))) for number in range(200)))

        assert len(syncs) < 10


async def test_a_full_spool_stops_changes_and_tells_what_was_lost(tmp_path: Path) -> None:
    log = Log()
    log.is_there = False
    async with a_trail(tmp_path, limit=2_000) as trail, shipping(trail, log.take):
        while trail.spool.has_room:
            await trail.add(happening())

        with pytest.raises(UnavailableError, match="full"):
            trail.spool.require_room()
        for number in range(7):
            trail.add_decision(decision(f"10.0.0.{number}"))
        log.is_there = True
        await trail.spool.shipped()
        trail.spool.require_room()
        trail.add_decision(decision("10.0.1.1"))
        await trail.spool.shipped()

    (lost,) = [record for record in log.records if record.event == "audit_records_lost"]
    assert lost.detail == {"count": 7}


async def test_a_disk_that_fails_is_told_and_nothing_is_lost_when_it_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    async with a_trail(tmp_path) as trail, shipping(trail, log.take):
        await trail.add(happening("before"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", _fails)
            with pytest.raises(UnavailableError, match="may have been done"):
                await trail.add(happening("meanwhile"))
            with pytest.raises(UnavailableError, match="cannot be written"):
                trail.spool.require_room()

        async def works_again() -> bool:
            return trail.spool.has_room

        await eventually(works_again)
        await trail.add(happening("after"))
        await trail.spool.shipped()

    once = list(dict.fromkeys(log.events))  # the log takes each sequence once
    assert once[:4] == ["started", "before", "meanwhile", "after"]


async def test_one_that_gives_up_waiting_takes_the_sync_from_nobody(tmp_path: Path) -> None:
    async with a_trail(tmp_path) as trail:
        first = asyncio.create_task(trail.add(happening("first")))
        second = asyncio.create_task(trail.add(happening("second")))
        await asyncio.sleep(0)
        first.cancel()

        await second


async def test_several_processes_of_a_role_have_a_spool_each(tmp_path: Path) -> None:
    async with a_trail(tmp_path) as one, a_trail(tmp_path) as other:
        await asyncio.gather(one.add(happening("one")), other.add(happening("other")))

        assert len(found(tmp_path, "admin-*")) == 2
    log = await shipped_by_another(tmp_path)
    assert {"one", "other"} <= set(log.events)
    assert len(found(tmp_path, "admin-*")) == 1


async def test_a_directory_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "spool").touch()

    with pytest.raises(ConfigurationError, match=r"audit spool .* cannot be used"):
        async with a_trail(tmp_path / "spool"):
            pass


def test_the_lock_of_a_spool_ends_with_its_process(tmp_path: Path) -> None:
    files = SpoolFiles(tmp_path / "admin-1")
    assert files.take()
    other = SpoolFiles(tmp_path / "admin-1")

    assert not other.take()
    files.close()
    assert other.take()
    other.close()


def _fails(_descriptor: int) -> None:
    raise OSError(5, "Input/output error")
