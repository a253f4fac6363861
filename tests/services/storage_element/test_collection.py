"""The collection of garbage: what goes, what stays, and what it takes to be sure."""

import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from artstore.core.attribute_fields import format_timestamp
from artstore.core.naming import storage_name
from artstore.core.spec import InsufficientStorageError, StorageBackend
from tests.services.storage_element.clocks import FakeClock
from tests.services.storage_element.damage import data_path
from tests.services.storage_element.faulty_storage import Faults, down
from tests.services.storage_element.harness import (
    MINT,
    TEMPORARY,
    WHEN_READ,
    ElementClient,
    SlowBody,
    StartElement,
    in_catalog,
    lose_catalog,
    sha256,
)
from tests.services.storage_element.test_consistency import checked, repaired
from tests.services.storage_element.test_retention import FILE_ID, STATES, URL, in_state

GC: Final = "/api/v1/gc"
DELETED: Final = "artstore_element_gc_deleted_total"
SKIPPED: Final = "artstore_element_gc_skipped_total"
REFUSED: Final = "artstore_element_gc_refused_total"
ONE_DAY: Final = {**TEMPORARY, "ttl_days": 1}
NEVER: Final = "9999"
QUIET: Final[dict[str, float]] = {"interval": 0}
"""Only when it is asked for."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def element(start: StartElement, clock: FakeClock) -> AsyncGenerator[ElementClient, None]:
    async with start(clock=clock, element={"collection": QUIET}) as element:
        yield element


async def collect(element: ElementClient, *, apply: bool = True, **order: object) -> Any:
    """Ask for a run; its report."""
    answer = await element.request("POST", GC, json={"dry_run": not apply, **order})
    assert answer.status == 200, answer
    return answer.json()


def removed(report: Any) -> dict[str, int]:
    """How many went, by reason."""
    return {reason: found["removed"] for reason, found in report["found"].items() if found["removed"]}


def found(report: Any) -> dict[str, int]:
    """How many there were, by reason."""
    return {reason: found["found"] for reason, found in report["found"].items() if found["found"]}


# --- expiry ---


@pytest.mark.parametrize("state", STATES)
async def test_only_what_is_temporary_expired_and_not_held_goes_by_itself(
    element: ElementClient, clock: FakeClock, state: str
) -> None:
    await in_state(element, clock, STATES[state])
    clock.advance(days=2)

    report = await collect(element)

    if state in ("temporary", "temporary, expired"):
        assert removed(report) == {"expired": 1}
        assert await element.file_ids() == []
    else:
        assert removed(report) == {}
        assert await element.download(str(FILE_ID)) == b"data"


async def test_an_expired_file_leaves_a_tombstone_and_a_journal_entry(
    element: ElementClient, clock: FakeClock
) -> None:
    await element.stored(b"data", file_id=FILE_ID, **ONE_DAY)
    clock.advance(days=3)

    report = await collect(element)

    (sidecar,) = await element.placed_files()
    assert json.loads(sidecar.read_bytes())["status"] == "deleted"
    assert report["found"]["expired"]["size"] == 4
    last = (await element.get("/api/v1/journal"))["items"][-1]
    assert (last["operation"], last["file_id"]) == ("delete", str(FILE_ID))
    assert await element.metric(DELETED, reason="expired") == 1
    assert await element.metric("artstore_element_gc_bytes_total", reason="expired") == 4


async def test_a_dry_run_tells_and_removes_nothing(element: ElementClient, clock: FakeClock) -> None:
    stored = await element.stored(b"data", file_id=FILE_ID, **ONE_DAY)
    clock.advance(days=3)

    report = await collect(element, apply=False)
    default = (await element.request("POST", GC, json={})).json()

    assert (found(report), removed(report)) == ({"expired": 1}, {})
    assert default["dry_run"] is True
    assert report["found"]["expired"]["examples"] == [
        f"{stored['storage_path']}/{stored['storage_filename']}"
    ]
    assert await element.download(str(FILE_ID)) == b"data"


async def test_a_file_goes_later_than_it_expires_by_as_much_as_the_clock_may_be_wrong(
    element: ElementClient, clock: FakeClock
) -> None:
    await element.stored(b"data", file_id=FILE_ID, **ONE_DAY)

    clock.advance(hours=47)
    before = await collect(element)
    clock.advance(hours=1)
    after = await collect(element)

    assert (removed(before), removed(after)) == ({}, {"expired": 1})


@pytest.mark.parametrize("mode", ["rw", "ro", "ar"])
async def test_nothing_goes_where_the_mode_keeps_it(
    start: StartElement, clock: FakeClock, tmp_path: Path, mode: str
) -> None:
    quiet = {"collection": QUIET}
    async with start(clock=clock, element=quiet) as element:
        await element.stored(b"data", file_id=FILE_ID, **ONE_DAY)
        identity = element.root / "element.json"
    said = json.loads(identity.read_bytes())
    said["mode"] = mode
    identity.write_text(json.dumps(said))
    clock.advance(days=3)

    async with start(clock=clock, element=quiet) as element:
        report = await collect(element)

        assert set(report["found"]) <= {"orphan"}
        assert await element.file_ids() == [str(FILE_ID)]


async def test_it_runs_by_itself(start: StartElement, clock: FakeClock) -> None:
    async with start(clock=clock, element={"collection": {"interval": 0.05}}) as element:
        await element.stored(b"data", file_id=FILE_ID, **ONE_DAY)
        clock.advance(days=3)

        await element.wait_for_metric(DELETED, 1, reason="expired")

        assert await element.file_ids() == []
        assert await element.metric("artstore_element_gc_last_run_timestamp_seconds") > 0


# --- two proofs ---


async def test_what_the_sidecar_says_is_believed_rather_than_a_wrong_catalog(
    start: StartElement, clock: FakeClock, tmp_path: Path
) -> None:
    quiet = {"collection": QUIET}
    async with start(clock=clock, element=quiet) as element:
        await element.stored(b"data", file_id=FILE_ID, **TEMPORARY, ttl_days=300)
    in_catalog(
        tmp_path, "UPDATE catalog_files SET attributes = REPLACE(attributes, '\"2027-09', '\"2026-11')"
    )
    clock.advance(days=9)

    async with start(clock=clock, element=quiet) as element:
        report = await collect(element)

        assert (found(report), removed(report)) == ({"expired": 1}, {})
        assert await element.download(str(FILE_ID)) == b"data"
        assert await element.metric(SKIPPED, reason="expired") == 1


async def test_nobody_who_sends_slowly_holds_up_the_collection(
    element: ElementClient, clock: FakeClock
) -> None:
    damaged = await element.stored(b"data", file_id=FILE_ID, **ONE_DAY)
    await element.stored(b"other", **ONE_DAY)
    (await data_path(element, damaged)).write_bytes(b"DATA")
    assert (await element.request("GET", f"/api/v1/files/{FILE_ID}/download")).problem == "corrupted"
    clock.advance(days=3)
    body = SlowBody(b"data")
    healing = asyncio.create_task(element.put(body.chunks(), file_id=FILE_ID, headers=WHEN_READ))
    await body.is_read.wait()

    first = await collect(element)
    body.may_go_on.set()
    healed = await healing
    second = await collect(element)

    assert healed.status == 200
    assert (removed(first), first["found"]["expired"]["skipped"]) == ({"expired": 1}, 1)
    assert removed(second) == {"expired": 1}


async def test_what_the_storage_does_not_give_out_stays(
    start: StartElement, clock: FakeClock, faults: Faults
) -> None:
    async with start(wrap=faults.wrap, clock=clock, element={"collection": QUIET}) as element:
        await element.stored(b"data", file_id=FILE_ID, **ONE_DAY)
        clock.advance(days=3)
        faults.storage.fault_on_get = down

        report = await collect(element)

        assert (found(report), removed(report)) == ({"expired": 1}, {})
        faults.heal()
        assert await element.download(str(FILE_ID)) == b"data"


# --- time ---


async def test_a_clock_that_jumps_expires_nothing_until_somebody_confirms_it(
    element: ElementClient, clock: FakeClock
) -> None:
    await element.stored(b"data", file_id=FILE_ID, **ONE_DAY)
    clock.jump(days=365)

    refused = await collect(element)
    status = await element.get(GC)
    kept = await element.download(str(FILE_ID))
    confirmed = await collect(element, confirm_clock=True)

    assert "the clock says 2027-11-25" in refused["refused"]
    assert status["clock_doubt"] == refused["refused"]
    assert await element.metric(REFUSED, cause="clock") == 1
    assert kept == b"data"
    assert removed(confirmed) == {"expired": 1}


async def test_a_clock_that_jumps_does_not_let_a_permanent_file_go(
    element: ElementClient, clock: FakeClock
) -> None:
    await element.stored(b"data", file_id=FILE_ID, expires_at=datetime.fromisoformat("2027-01-01T00:00:00Z"))
    clock.jump(days=365)

    answer = await element.request("DELETE", URL)

    assert (answer.status, answer.problem) == (409, "retention-active")


async def test_a_clock_that_goes_back_expires_nothing_and_is_believed_when_it_is_right_again(
    element: ElementClient, clock: FakeClock
) -> None:
    await element.stored(b"data", file_id=FILE_ID, **ONE_DAY)
    clock.advance(days=3)

    clock.jump(days=-365)
    refused = await collect(element)
    clock.jump(days=365)
    right = await collect(element)

    assert "refused" in refused
    assert removed(right) == {"expired": 1}


async def test_a_clock_that_jumped_while_the_element_was_stopped_is_not_believed(
    start: StartElement, clock: FakeClock
) -> None:
    quiet = {"collection": QUIET}
    async with start(clock=clock, element=quiet) as element:
        await element.stored(b"data", file_id=FILE_ID, **ONE_DAY)
    clock.jump(days=365)

    async with start(clock=clock, element=quiet) as element:
        same_run = await collect(element)
    clock.restart()
    async with start(clock=clock, element=quiet) as element:
        next_run = await collect(element)
        kept = await element.download(str(FILE_ID))

    assert "refused" in same_run
    assert "refused" in next_run
    assert kept == b"data"


@pytest.mark.parametrize("restart", [False, True])
async def test_time_in_which_the_element_was_stopped_counts(
    start: StartElement, clock: FakeClock, restart: bool
) -> None:
    quiet = {"collection": QUIET}
    async with start(clock=clock, element=quiet) as element:
        await element.stored(b"data", file_id=FILE_ID, **ONE_DAY)
    if restart:
        clock.restart()
    clock.advance(days=3)

    async with start(clock=clock, element=quiet) as element:
        assert removed(await collect(element)) == {"expired": 1}


async def test_after_the_loss_of_the_catalog_a_wrong_clock_is_not_believed_for_what_it_has_stamped(
    start: StartElement, clock: FakeClock, tmp_path: Path
) -> None:
    quiet = {"collection": QUIET}
    in_a_year = datetime(2026, 12, 31, tzinfo=UTC)
    async with start(clock=clock, element=quiet) as element:
        await element.stored(b"data", file_id=FILE_ID, **ONE_DAY)
        permanent = await element.stored(b"kept", expires_at=in_a_year)
    clock.restart()
    clock.jump(days=730)
    async with start(clock=clock, element=quiet) as element:
        await element.stored(b"later", file_id=id_of(clock.now()))
    await asyncio.to_thread(lose_catalog, tmp_path)
    clock.restart()

    async with start(clock=clock, element=quiet) as element:
        collected = await collect(element)
        deleted = await element.request("DELETE", f"/api/v1/files/{permanent['file_id']}")
        kept = await element.download(str(FILE_ID))

    assert "the clock says 2028-11-24" in collected["refused"]
    assert (deleted.status, deleted.problem) == (409, "retention-active")
    assert kept == b"data"


def id_of(time: datetime) -> UUID:
    """An id as an ingester whose clock says ``time`` makes one."""
    milliseconds = int(time.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 7 << 76 | 1 << 63)


async def test_after_the_loss_of_the_catalog_a_right_clock_is_believed(
    start: StartElement, clock: FakeClock, tmp_path: Path
) -> None:
    quiet = {"collection": QUIET}
    async with start(clock=clock, element=quiet) as element:
        await element.stored(b"data", file_id=FILE_ID, **ONE_DAY)
    await asyncio.to_thread(lose_catalog, tmp_path)
    clock.advance(days=3)

    async with start(clock=clock, element=quiet) as element:
        assert removed(await collect(element)) == {"expired": 1}


@pytest.mark.parametrize("content", [None, b"", b"{}"])
async def test_where_nobody_tells_the_time_nothing_goes_until_somebody_confirms_the_clock(
    start: StartElement, clock: FakeClock, content: bytes | None
) -> None:
    quiet = {"collection": QUIET}
    async with start(clock=clock, element=quiet) as element:
        await element.stored(b"data", file_id=FILE_ID, **ONE_DAY)
    witness = element.root / "clock.json"
    witness.unlink()
    if content is not None:
        witness.write_bytes(content)
    clock.advance(days=3)

    async with start(clock=clock, element=quiet) as element:
        refused = await collect(element)
        confirmed = await collect(element, confirm_clock=True)
    async with start(clock=clock, element=quiet) as element:
        after = await element.get(GC)

    assert "confirm" in refused["refused"]
    assert "clock.json" in refused["refused"]
    assert removed(confirmed) == {"expired": 1}
    assert after.get("clock_doubt") is None


async def test_a_full_disk_keeps_no_element_from_starting_without_a_witness_of_the_time(
    start: StartElement, clock: FakeClock, faults: Faults
) -> None:
    def wrap(storage: StorageBackend) -> StorageBackend:
        wrapped = faults.wrap(storage)
        wrapped.fault_before_put = lambda key: (
            InsufficientStorageError("full") if key == "clock.json" else None
        )
        return wrapped

    async with start(wrap=wrap, clock=clock) as element:
        assert (await element.put(b"data")).status == 201


# --- how much ---


async def test_a_run_that_would_remove_too_much_removes_nothing_unless_it_is_allowed(
    start: StartElement, clock: FakeClock
) -> None:
    settings = {**QUIET, "limit_files": 2, "limit_percent": 10}
    async with start(clock=clock, element={"collection": settings}) as element:
        for _ in range(3):
            await element.stored(b"data", **ONE_DAY)
        clock.advance(days=3)

        refused = await collect(element)
        left = len(await element.file_ids())
        dry = await collect(element, apply=False)
        allowed = await collect(element, limit=3)

        assert "3 would be removed, and at most 2 may be" in refused["refused"]
        assert "refused" in dry
        assert (left, removed(allowed)) == (3, {"expired": 3})
        assert await element.metric(REFUSED, cause="limit") == 2


async def test_what_is_held_is_not_counted_among_what_would_be_removed(
    start: StartElement, clock: FakeClock
) -> None:
    settings = {**QUIET, "limit_files": 2, "limit_percent": 10}
    async with start(clock=clock, element={"collection": settings}) as element:
        files = [await element.stored(b"data", **ONE_DAY) for _ in range(4)]
        for each in files[:3]:
            url = f"/api/v1/files/{each['file_id']}/holds"
            assert (await element.request("POST", url, json={"reason": "case"})).status == 201
        clock.advance(days=3)

        report = await collect(element)

        assert (found(report), removed(report)) == ({"expired": 1}, {"expired": 1})
        assert len(await element.file_ids()) == 3


# --- tombstones ---


async def test_a_tombstone_goes_after_its_time_and_the_id_is_free(
    element: ElementClient, clock: FakeClock
) -> None:
    await element.stored(b"data", file_id=FILE_ID, **TEMPORARY)
    await element.request("DELETE", URL)

    clock.advance(days=89)
    before = await collect(element)
    taken = await element.put(b"other", file_id=FILE_ID)
    clock.advance(days=2)
    after = await collect(element)
    left = await element.placed_files()
    journal = await element.get("/api/v1/journal")
    again = await element.put(b"other", file_id=FILE_ID)

    assert (removed(before), taken.status) == ({}, 409)
    assert (removed(after), left) == ({"tombstone": 1}, [])
    assert [entry["operation"] for entry in journal["items"]] == ["create", "delete", "purge"]
    assert all("attributes" not in entry or entry["attributes"] is None for entry in journal["items"])
    assert again.status == 201


async def test_a_purged_file_is_gone_after_a_restart_and_a_rebuild(
    start: StartElement, clock: FakeClock, tmp_path: Path
) -> None:
    quiet = {"collection": QUIET}
    async with start(clock=clock, element=quiet) as element:
        await element.stored(b"data", file_id=FILE_ID, **TEMPORARY)
        await element.request("DELETE", URL)
        clock.advance(days=91)
        await collect(element)

    async with start(clock=clock, element=quiet) as element:
        assert (await element.request("GET", URL)).status == 404
        assert await element.metric("artstore_element_wal_pending") == 0
    await asyncio.to_thread(lose_catalog, tmp_path)
    async with start(clock=clock, element=quiet) as element:
        assert (await element.get("/api/v1/journal"))["items"] == []


async def test_a_purge_that_was_interrupted_is_finished_at_start(
    start: StartElement, clock: FakeClock, tmp_path: Path
) -> None:
    quiet = {"collection": QUIET}
    async with start(clock=clock, element=quiet) as element:
        await element.stored(b"data", file_id=FILE_ID, **TEMPORARY)
        await element.request("DELETE", URL)
        (sidecar,) = await element.placed_files()
    sidecar.unlink()
    in_catalog(
        tmp_path,
        "UPDATE catalog_wal SET status = 'pending', operation = 'file_purge' WHERE operation = 'file_delete'",
    )

    async with start(clock=clock, element=quiet) as element:
        assert (await element.put(b"other", file_id=FILE_ID)).status == 201


@pytest.mark.parametrize("operation", ["file_update", "file_delete"])
async def test_data_whose_sidecar_was_lost_during_a_change_are_not_removed(
    start: StartElement, tmp_path: Path, operation: str
) -> None:
    async with start() as element:
        await element.stored(b"data", file_id=FILE_ID)
        data, sidecar = await element.placed_files()
    sidecar.unlink()
    in_catalog(tmp_path, f"UPDATE catalog_wal SET status = 'pending', operation = '{operation}'")

    async with start() as element:
        assert data.read_bytes() == b"data"
        assert await element.metric("artstore_element_wal_failed_total") == 1


# --- delayed removal ---


@pytest.fixture
async def delaying(start: StartElement, clock: FakeClock) -> AsyncGenerator[ElementClient, None]:
    async with start(clock=clock, element={"collection": {**QUIET, "removal_delay": 7}}) as element:
        yield element


async def test_a_deleted_file_is_brought_back_while_its_data_are_kept(
    delaying: ElementClient, clock: FakeClock
) -> None:
    stored = await delaying.stored(b"data", file_id=FILE_ID, **TEMPORARY)
    await delaying.request("DELETE", URL)
    gone = await delaying.request("GET", f"{URL}/download")
    clock.advance(days=6)
    await collect(delaying)

    answer = await delaying.request("POST", f"{URL}/undelete")

    back = answer.json()["attributes"]
    assert (gone.status, answer.status) == (404, 200)
    assert await delaying.download(str(FILE_ID)) == b"data"
    assert await delaying.file_ids() == [str(FILE_ID)]
    assert await delaying.metric("artstore_element_files") == 1
    assert back == {**stored, "version": 3, "updated_at": back["updated_at"]}


async def test_kept_data_go_after_their_time(delaying: ElementClient, clock: FakeClock) -> None:
    await delaying.stored(b"data", file_id=FILE_ID, **TEMPORARY)
    await delaying.request("DELETE", URL)
    clock.advance(days=8)

    report = await collect(delaying)
    late = await delaying.request("POST", f"{URL}/undelete")

    assert removed(report) == {"removal": 1}
    assert report["found"]["removal"]["size"] == 4
    assert len(await delaying.placed_files()) == 1
    assert (late.status, late.problem) == (404, "not-found")


async def test_a_delayed_removal_survives_a_restart_and_the_loss_of_the_catalog(
    start: StartElement, clock: FakeClock, tmp_path: Path
) -> None:
    settings = {"collection": {**QUIET, "removal_delay": 7}}
    async with start(clock=clock, element=settings) as element:
        await element.stored(b"data", file_id=FILE_ID, **TEMPORARY)
        await element.request("DELETE", URL)
    in_catalog(tmp_path, "UPDATE catalog_wal SET status = 'pending' WHERE operation = 'file_bury'")
    async with start(clock=clock, element=settings) as element:
        recovered = len(await element.placed_files())
    await asyncio.to_thread(lose_catalog, tmp_path)

    async with start(clock=clock, element=settings) as element:
        answer = await element.request("POST", f"{URL}/undelete")

        assert (recovered, answer.status) == (2, 200)
        assert await element.download(str(FILE_ID)) == b"data"


async def test_no_repair_removes_data_that_may_be_wanted_back(
    delaying: ElementClient, clock: FakeClock
) -> None:
    await delaying.stored(b"data", file_id=FILE_ID, **TEMPORARY)
    await delaying.request("DELETE", URL)
    await checked(delaying)

    early = await repaired(delaying, "deleted_data")
    clock.advance(days=8)
    late = await repaired(delaying, "deleted_data")

    assert [repair["outcome"] for report in (early, late) for repair in report["repairs"]] == [
        "passed_over",
        "repaired",
    ]


async def test_what_is_not_deleted_is_not_undeleted(delaying: ElementClient) -> None:
    missing = await delaying.request("POST", f"{URL}/undelete")
    await delaying.stored(b"data", file_id=FILE_ID)

    present = await delaying.request("POST", f"{URL}/undelete")

    assert [missing.status, present.status] == [404, 404]


# --- orphans ---


def orphan(element: ElementClient, clock: FakeClock, *, days_old: float) -> Path:
    """Data that somebody left without a sidecar."""
    name = storage_name("left.bin", username="u", created_at=clock.now(), file_id=FILE_ID)
    path = element.root / name.key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"left over")
    moment = clock.now().timestamp() - days_old * 86400
    os.utime(path, (moment, moment))
    return path


async def test_data_without_a_sidecar_go_when_they_were_seen_so_for_long_and_somebody_asks(
    element: ElementClient, clock: FakeClock
) -> None:
    path = orphan(element, clock, days_old=30)

    first = await collect(element)
    clock.advance(days=6)
    early = await collect(element)
    clock.advance(days=2)
    dry = await collect(element, apply=False)
    kept = path.exists()
    last = await collect(element)

    assert [removed(report) for report in (first, early, dry)] == [{}, {}, {}]
    assert (first["orphans"], found(dry)) == (0, {"orphan": 1})
    assert kept
    assert removed(last) == {"orphan": 1}
    assert not path.exists()


async def test_orphans_do_not_go_by_themselves(start: StartElement, clock: FakeClock) -> None:
    settings = {"interval": 0.05, "orphan_grace": 0}
    async with start(clock=clock, element={"collection": settings}) as element:
        path = orphan(element, clock, days_old=30)

        await element.wait_for_metric("artstore_element_gc_orphans", 1)
        await asyncio.sleep(0.2)

        assert path.exists()


async def test_data_that_were_touched_lately_are_no_garbage(element: ElementClient, clock: FakeClock) -> None:
    path = orphan(element, clock, days_old=-10)
    await collect(element)
    clock.advance(days=8)

    assert removed(await collect(element)) == {}
    assert path.exists()


async def test_data_whose_sidecar_was_lost_are_no_garbage_as_long_as_the_catalog_knows_them(
    element: ElementClient, clock: FakeClock
) -> None:
    await element.stored(b"data", file_id=FILE_ID)
    data, sidecar = await element.placed_files()
    moment = clock.now().timestamp() - 30 * 86400
    os.utime(data, (moment, moment))
    sidecar.unlink()
    await collect(element)
    clock.advance(days=8)

    report = await collect(element)

    assert (found(report), removed(report)) == ({"orphan": 1}, {})
    assert data.exists()


async def test_data_that_somebody_moved_are_no_garbage_as_long_as_they_are_missed_where_they_were(
    element: ElementClient, clock: FakeClock
) -> None:
    await element.stored(b"data", file_id=FILE_ID)
    data, _ = await element.placed_files()
    moment = clock.now().timestamp() - 30 * 86400
    os.utime(data, (moment, moment))
    moved = element.root / "2020" / data.name
    moved.parent.mkdir()
    data.rename(moved)
    await collect(element)
    clock.advance(days=8)

    spared = await collect(element)
    data.write_bytes(moved.read_bytes())
    last = await collect(element)

    assert (found(spared), removed(spared)) == ({"orphan": 1}, {})
    assert removed(last) == {"orphan": 1}
    assert await element.download(str(FILE_ID)) == b"data"


async def test_files_that_others_left_in_the_root_are_not_touched(
    element: ElementClient, clock: FakeClock
) -> None:
    foreign = orphan(element, clock, days_old=30)
    foreign = foreign.rename(foreign.with_name("notes.txt"))
    await collect(element)
    clock.advance(days=8)
    await collect(element)

    assert foreign.exists()
    assert (element.root / "element.json").exists()
    assert (element.root / "ARTSTORE.md").exists()


# --- who, and what is told ---


async def test_the_last_report_is_kept(start: StartElement, clock: FakeClock) -> None:
    quiet = {"collection": QUIET}
    async with start(clock=clock, element=quiet) as element:
        before = await element.get(GC)
        report = await collect(element)

    async with start(clock=clock, element=quiet) as element:
        assert before == {}
        assert (await element.get(GC))["last"] == report


@pytest.mark.parametrize("body", [{"limit": -1}, {"dry_run": "no"}, {"apply": True}])
async def test_an_order_that_makes_no_sense_is_refused(element: ElementClient, body: object) -> None:
    answer = await element.request("POST", GC, json=body)

    assert (answer.status, answer.problem) == (400, "invalid-request")


async def test_collecting_and_undeleting_are_for_operators(element: ElementClient) -> None:
    token = MINT(scope="storage:read storage:write storage:delete")

    answers = [
        await element.request("POST", GC, json={}, token=token),
        await element.request("GET", GC, token=token),
        await element.request("POST", f"{URL}/undelete", token=token),
    ]

    assert [answer.status for answer in answers] == [403, 403, 403]


# --- all at once ---


class Traffic:
    """A client that stores, changes, holds and deletes; ``kept`` is what was acknowledged and not given up.

    The value says which content it has, and when it may go by itself.
    """

    def __init__(self, element: ElementClient, *, seed: int) -> None:
        self.kept: dict[str, tuple[str, str]] = {}
        self._element = element
        self._choice = random.Random(seed)

    async def run(self, *, rounds: int) -> None:
        for _ in range(rounds):
            content = self._choice.randbytes(self._choice.choice((0, 100, 20_000, 200_000)))
            stored = await self._element.stored(content, **self._choice.choice(({}, ONE_DAY)))
            expires_at = stored["retention"].get("expires_at", NEVER)
            self.kept[stored["file_id"]] = sha256(content), expires_at
            await self._change(stored["file_id"], may_go=expires_at != NEVER)

    async def _change(self, file_id: str, *, may_go: bool) -> None:
        url = f"/api/v1/files/{file_id}"
        kind = self._choice.choice(("tags", "hold", "delete", "nothing"))
        if kind == "tags":
            await self._element.request("PATCH", url, json={"tags": ["t"]})
        elif kind == "delete" and may_go:
            del self.kept[file_id]
            await self._element.request("DELETE", url)
        elif kind == "hold":
            answer = await self._element.request("POST", f"{url}/holds", json={"reason": "r"})
            if answer.status == 201:
                self.kept[file_id] = self.kept[file_id][0], NEVER


def slowly(key: str) -> Exception | None:
    """Sidecars come long after their data."""
    if key.endswith(".attr.json"):
        time.sleep(0.02)
    return None


async def test_whatever_is_under_way_nothing_acknowledged_is_collected(start: StartElement) -> None:
    clock, faults = FakeClock(datetime.now(UTC)), Faults(has_batches=False)
    delays = {"orphan_grace": 0, "removal_delay": 0.1, "tombstone_retention": 0.2, "clock_tolerance": 1}
    storage = {"type": "local", "root": "storage", "commit_log_size": 0}
    async with start(
        wrap=faults.wrap, clock=clock, element={"collection": {**QUIET, **delays}}, storage=storage
    ) as element:
        faults.storage.fault_before_put = slowly
        traffic = [Traffic(element, seed=seed) for seed in range(6)]
        working = asyncio.gather(*(each.run(rounds=20) for each in traffic))
        gone = Counter[str]()
        while not working.done():
            gone.update(removed(await collect(element, limit=10**6)))
            clock.advance(hours=1)
        await working

        now = format_timestamp(clock.now())
        kept = {file_id: held for each in traffic for file_id, held in each.kept.items()}
        listed = set(await element.file_ids())
        assert {file_id for file_id, (_, until) in kept.items() if until > now} <= listed
        assert listed <= set(kept)
        for file_id in listed:
            assert sha256(await element.download(file_id)) == kept[file_id][0]
        assert gone["expired"] > 0
        assert gone["tombstone"] > 0
        assert await element.metric(SKIPPED, reason="orphan") > 0
