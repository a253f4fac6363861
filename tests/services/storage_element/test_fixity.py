"""Scrubbing over HTTP: what the medium does to files nobody asks for is found, and nothing else is."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from errno import EIO
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from artstore.core.spec import NotFoundError, StorageBackend, UnavailableError
from artstore.core.testing import IssuerServer
from artstore.services.storage_element import scrub
from artstore.services.storage_element.fixity_store import KEPT_CHECKS
from tests.services.storage_element.damage import data_path, flip
from tests.services.storage_element.faulty_storage import FaultyStorage, down, no_fault
from tests.services.storage_element.harness import (
    MINT,
    POLL_INTERVAL,
    TEMPORARY,
    Answer,
    ElementClient,
    StartElement,
    in_catalog,
    lose_catalog,
)
from tests.services.storage_element.processes import element_process
from tests.services.storage_element.scrubbing import (
    RUNS,
    OpaqueStorage,
    SampleLosingStorage,
    bad_files,
    begin_run,
    finished,
    fixity_of,
    scrubbed,
)

KIB: Final = 1024
SIZES: Final = (0, 1, 1000, 100 * KIB, 2 * KIB * KIB + 1)
OLD_ID: Final = UUID("0197b2c4-0000-7000-8000-00000000ffff")


@pytest.fixture(params=[FaultyStorage, OpaqueStorage], ids=["files", "objects"])
async def either(start: StartElement, request: pytest.FixtureRequest) -> AsyncGenerator[ElementClient, None]:
    """An element on files of this host, or on objects that are somewhere else."""
    wrap: Callable[[StorageBackend], StorageBackend] = request.param
    async with start(wrap=wrap) as element:
        yield element


async def download(element: ElementClient, file_id: str, **headers: str) -> Answer:
    return await element.request("GET", f"/api/v1/files/{file_id}/download", headers=headers)


async def test_a_run_reads_every_file_and_finds_its_sample(either: ElementClient) -> None:
    stored = [await either.stored(bytes(size)) for size in SIZES]

    run = await scrubbed(either)

    assert (run["checked"], run["bad"], run["sample"]) == (len(SIZES), 0, "found")
    assert run["checked_bytes"] == sum(SIZES)
    for file, size in zip(stored, SIZES, strict=True):
        fixity = await fixity_of(either, file["file_id"])
        assert (fixity["outcome"], fixity["quarantined"]) == ("good", False)
        assert fixity["checks"][0]["sha256"] == file["checksum"], size


@pytest.mark.parametrize("position", [0, -1])
async def test_a_wrong_byte_is_found_in_one_run(either: ElementClient, position: int) -> None:
    stored = [await either.stored(bytes(size)) for size in SIZES if size]
    for file in stored:
        flip(await data_path(either, file), position)
    good = await either.stored(b"good")

    run = await scrubbed(either)

    assert (run["checked"], run["bad"]) == (len(stored) + 1, len(stored))
    assert await bad_files(either) == {file["file_id"]: "damaged" for file in stored}
    assert (await fixity_of(either, good["file_id"]))["outcome"] == "good"
    assert await either.metric("artstore_element_fixity_bad", outcome="damaged") == len(stored)
    assert await either.metric("artstore_element_fixity_checked_total", outcome="good") == 1


async def test_damaged_data_are_not_given_out_but_described(element: ElementClient) -> None:
    file_id = (await damaged(element))["file_id"]
    await scrubbed(element)

    whole, part = await download(element, file_id), await download(element, file_id, Range="bytes=5-6")
    metadata = await element.request("GET", f"/api/v1/files/{file_id}")

    assert [(answer.status, answer.problem) for answer in (whole, part)] == [(500, "corrupted")] * 2
    assert (metadata.status, metadata.headers["Artstore-Fixity"]) == (200, "damaged")
    [check] = (await fixity_of(element, file_id))["checks"]
    assert check["outcome"] == "damaged"
    assert check["sha256"] in check["detail"]


async def damaged(element: ElementClient) -> dict[str, Any]:
    stored = await element.stored(b"some content", **TEMPORARY)
    flip(await data_path(element, stored), 0)
    return stored


async def test_a_file_that_is_good_again_is_given_out_again(element: ElementClient) -> None:
    stored = await damaged(element)
    await scrubbed(element)
    flip(await data_path(element, stored), 0)

    before = await download(element, stored["file_id"])
    await scrubbed(element, file_ids=[stored["file_id"]])
    after = await download(element, stored["file_id"])

    assert (before.status, after.status) == (500, 200)
    assert await bad_files(element) == {}
    assert await element.metric("artstore_element_fixity_bad", outcome="damaged") == 0


async def test_what_a_download_comes_upon_is_noted(element: ElementClient) -> None:
    stored = await damaged(element)
    await download(element, stored["file_id"])

    fixity = await fixity_of(element, stored["file_id"])

    assert (fixity["outcome"], fixity["quarantined"]) == ("damaged", True)
    assert fixity["checks"][0]["checked_by"] == "download"
    assert (await download(element, stored["file_id"], Range="bytes=1-2")).problem == "corrupted"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def replace_by_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("damage", "outcome"),
    [
        (cut, "damaged"),
        (Path.unlink, "missing"),
        (replace_by_a_directory, "missing"),
        (replace_by_a_link, "missing"),
    ],
)
async def test_whatever_else_happens_to_data_is_found(
    either: ElementClient, damage: Callable[[Path], None], outcome: str
) -> None:
    stored = await either.stored(b"some content")
    damage(await data_path(either, stored))

    run = await scrubbed(either)

    assert run["bad"] == 1
    assert await bad_files(either) == {stored["file_id"]: outcome}
    assert (await download(either, stored["file_id"])).problem == "corrupted"


@pytest.mark.parametrize("damage", [cut, Path.unlink, replace_by_a_link])
@pytest.mark.parametrize("size", [100, 300 * KIB])
async def test_uploading_it_again_puts_the_same_data_in_the_place_of_bad_ones(
    either: ElementClient, damage: Callable[[Path], None], size: int
) -> None:
    content = os.urandom(size)
    stored = await either.stored(content, name="kept.bin", tags=["kept"])
    file_id = UUID(stored["file_id"])
    path = await data_path(either, stored)
    damage(path)
    await scrubbed(either)

    refused = [
        await either.put(bytes(size), file_id=file_id),
        await either.put(in_pieces(content[:-1]), file_id=file_id),
        await either.put(bytes(size), file_id=file_id, checksum=stored["checksum"]),
        await either.put(bytes(size + 1), file_id=file_id),
    ]
    still = await download(either, stored["file_id"])
    again = await either.put(in_pieces(content), file_id=file_id)

    exists, mismatch = (409, "already-exists"), (422, "checksum-mismatch")
    assert [(each.status, each.problem) for each in refused] == [exists, exists, mismatch, exists]
    assert (still.status, still.problem) == (500, "corrupted")
    assert (again.status, again.json()["attributes"]) == (200, stored)
    assert await either.download(stored["file_id"]) == content
    assert path.is_file()
    assert not path.is_symlink()
    assert not (await fixity_of(either, stored["file_id"]))["quarantined"]
    assert await bad_files(either) == {}
    assert (await scrubbed(either))["bad"] == 0


async def in_pieces(content: bytes) -> AsyncGenerator[bytes, None]:
    """A body whose length is not said."""
    yield content


async def test_a_run_over_a_file_that_is_not_there_is_refused(element: ElementClient) -> None:
    stored = await element.stored(b"data", **TEMPORARY)
    await element.request("DELETE", f"/api/v1/files/{stored['file_id']}")

    for file_id in (stored["file_id"], str(OLD_ID)):
        answer = await element.request("POST", RUNS, json={"file_ids": [file_id]})

        assert (answer.status, answer.problem) == (404, "not-found")
        assert file_id in answer.json()["detail"]


async def test_a_file_that_cannot_be_read_is_told_and_tried_again(start: StartElement) -> None:
    storage: list[OpaqueStorage] = []
    async with start(wrap=remembered(storage)) as element:
        stored = await element.stored(b"some content")
        await element.placed_files()
        storage[0].fault_on_get = lambda key: UnavailableError("EIO") if stored["file_id"] in key else None

        await scrubbed(element)
        found = await bad_files(element)
        storage[0].fault_on_get = no_fault
        answer = await download(element, stored["file_id"])
        await scrubbed(element)

        assert found == {stored["file_id"]: "unreadable"}
        assert answer.status == 200
        assert await bad_files(element) == {}


async def test_a_failing_disk_is_told_from_damage(
    element: ElementClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = await element.stored(bytes(300 * KIB))
    fail_reading(monkeypatch, await data_path(element, stored))

    answer = await download(element, stored["file_id"])
    await scrubbed(element)
    found = await bad_files(element)
    monkeypatch.undo()

    assert (answer.status, answer.problem) == (503, "unavailable")
    assert found == {stored["file_id"]: "unreadable"}
    assert (await download(element, stored["file_id"])).status == 200


def fail_reading(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Whoever reads a file gets EIO from the kernel, as of a bad sector."""
    inode = path.stat().st_ino

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def read(descriptor: int, *arguments: Any) -> Any:
            if os.fstat(descriptor).st_ino == inode:
                raise OSError(EIO, os.strerror(EIO))
            return real(descriptor, *arguments)

        return read

    monkeypatch.setattr(os, "pread", failing(os.pread))
    monkeypatch.setattr(os, "preadv", failing(os.preadv))


def remembered(storage: list[OpaqueStorage]) -> Callable[[StorageBackend], OpaqueStorage]:
    def wrap(inner: StorageBackend) -> OpaqueStorage:
        storage.append(OpaqueStorage(inner))
        return storage[-1]

    return wrap


def gone(key: str) -> Exception:
    return NotFoundError("the root is not mounted")


@pytest.mark.parametrize("fault", [down, gone])
async def test_a_storage_that_is_away_makes_no_file_bad(
    start: StartElement, fault: Callable[[str], Exception | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrub, "RETRY_AFTER", 0.05)
    storage: list[OpaqueStorage] = []
    async with start(wrap=remembered(storage)) as element:
        stored = await element.stored(b"some content")
        await element.placed_files()
        storage[0].fault_on_get = fault
        run_id = await begin_run(element)
        await download(element, stored["file_id"])
        await asyncio.sleep(0.2)

        found, state = await bad_files(element), (await element.get(f"{RUNS}/runs/{run_id}"))["state"]
        storage[0].fault_on_get = no_fault
        run = await finished(element, run_id)

        assert (found, state) == ({}, "running")
        assert (run["checked"], run["bad"]) == (1, 0)


async def test_a_file_that_is_deleted_while_it_is_read_is_not_bad(start: StartElement) -> None:
    storage: list[OpaqueStorage] = []
    async with start(wrap=remembered(storage)) as element:
        stored = await element.stored(b"some content", **TEMPORARY)
        await element.placed_files()

        async def delete_first(key: str) -> None:
            storage[0].before_get = None
            await element.request("DELETE", f"/api/v1/files/{stored['file_id']}")

        storage[0].before_get = delete_first
        run = await scrubbed(element, file_ids=[stored["file_id"]])

        assert (run["checked"], run["bad"]) == (0, 0)
        assert await bad_files(element) == {}


async def test_uploads_changes_and_deletions_meanwhile_are_not_bad(element: ElementClient) -> None:
    async def work(number: int) -> None:
        stored = await element.stored(bytes(number * 5000), **TEMPORARY)
        url = f"/api/v1/files/{stored['file_id']}"
        await element.request("PATCH", url, json={"tags": ["changed"]})
        if number % 2:
            await element.request("DELETE", url)

    async def read_again() -> list[dict[str, Any]]:
        return [await scrubbed(element) for _ in range(5)]

    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(read_again())
        for number in range(30):
            tasks.create_task(work(number))
    runs = reading.result()
    last = await scrubbed(element)

    assert [run["bad"] for run in runs] == [0] * 5
    assert (last["checked"], last["bad"], last["sample"]) == (15, 0, "found")


async def test_a_deleted_file_leaves_the_report(element: ElementClient) -> None:
    stored = await damaged(element)
    await scrubbed(element)
    await element.request("DELETE", f"/api/v1/files/{stored['file_id']}")

    await scrubbed(element)

    assert await bad_files(element) == {}
    assert (await element.request("GET", f"/api/v1/files/{stored['file_id']}/fixity")).status == 404


async def test_a_run_that_does_not_find_its_sample_is_red(start: StartElement) -> None:
    async with start(wrap=SampleLosingStorage) as element:
        await element.stored(b"some content")

        run = await scrubbed(element)

        assert (run["bad"], run["sample"]) == (0, "missed")
        assert await element.metric("artstore_element_fixity_sample_missed") == 1


async def test_a_run_that_cannot_plant_its_sample_says_so(start: StartElement) -> None:
    def full(key: str) -> Exception | None:
        return UnavailableError("read-only") if key == "fixity-sample" else None

    def wrap(storage: StorageBackend) -> FaultyStorage:
        faulty = FaultyStorage(storage)
        faulty.fault_before_put = full
        return faulty

    async with start(wrap=wrap) as element:
        await element.stored(b"some content")

        run = await scrubbed(element)

        assert (run["checked"], run["sample"]) == (1, "not_planted")


async def test_nothing_is_left_of_the_sample(element: ElementClient) -> None:
    await scrubbed(element)

    assert await element.metric("artstore_element_fixity_sample_missed") == 0
    assert sorted(os.listdir(element.root)) == [
        ".artstore",
        "ARTSTORE.md",
        "clock.json",
        "element.json",
        "lease.json",
    ]


async def test_the_longest_unread_files_come_first(start: StartElement) -> None:
    async with start(element={"fixity": {"budget": 400 * KIB}}) as element:
        stored = [await element.stored(bytes(200 * KIB)) for _ in range(3)]
        await scrubbed(element, file_ids=[stored[0]["file_id"]])
        run_id = await begin_run(element)
        await finished(element, run_id)

        moments = [(await fixity_of(element, file["file_id"]))["checked_at"] for file in stored]

    assert moments[1] <= moments[2] <= moments[0]


async def test_only_what_was_not_read_for_a_time_is_due(element: ElementClient) -> None:
    await element.stored(b"first")
    await scrubbed(element)
    await element.stored(b"second")

    run = await scrubbed(element, older_than=3600)

    assert run["checked"] == 1


async def test_the_budget_is_kept(start: StartElement) -> None:
    budget = 4 * KIB * KIB
    async with start(element={"fixity": {"budget": budget}}) as element:
        for size in (3 * KIB * KIB, *[100 * KIB] * 20):
            await element.stored(bytes(size))

        run = await scrubbed(element)

    began, ended = (datetime.fromisoformat(run[name]) for name in ("started_at", "finished_at"))
    assert run["checked_bytes"] / (ended - began).total_seconds() < 1.2 * budget


async def test_what_was_found_is_known_after_a_restart_and_a_rebuild(
    start: StartElement, tmp_path: Path
) -> None:
    async with start() as element:
        stored, good = await damaged(element), await element.stored(b"good")
        await scrubbed(element)
        before = [await fixity_of(element, each["file_id"]) for each in (stored, good)]
    in_catalog(tmp_path, "UPDATE catalog_meta SET value = '0' WHERE name = 'format'")

    async with start() as element:
        after = [await fixity_of(element, each["file_id"]) for each in (stored, good)]
        answer = await download(element, stored["file_id"])
        status = await element.get(RUNS)

    assert after == before
    assert answer.problem == "corrupted"
    assert (status["bad"]["damaged"], status["never_checked"]) == (1, 0)
    assert status["last_run"]["bad"] == 1


async def test_without_its_database_every_file_counts_as_never_checked(
    start: StartElement, tmp_path: Path
) -> None:
    async with start() as element:
        stored = await damaged(element)
        await scrubbed(element)
    lose_catalog(tmp_path)

    async with start() as element:
        status = await element.get(RUNS)
        run = await scrubbed(element)

        assert (status["never_checked"], status["bad"]["damaged"]) == (1, 0)
        assert (run["checked"], await bad_files(element)) == (1, {stored["file_id"]: "damaged"})


async def until_something_is_checked(element: ElementClient, run_id: str) -> None:
    while True:
        if (await element.get(f"{RUNS}/runs/{run_id}"))["checked"]:
            return
        await asyncio.sleep(POLL_INTERVAL)


async def test_a_run_goes_on_after_a_kill(tmp_path: Path, issuer: IssuerServer) -> None:
    slow, fast = ({"budget": budget} for budget in (KIB * KIB, 10**12))
    async with element_process(tmp_path, issuer.jwks_url, element={"fixity": slow}) as process:
        element = process.client
        stored = [await element.stored(bytes(100 * KIB)) for _ in range(15)]
        flip(await data_path(element, stored[-1]), 0)
        run_id = await begin_run(element)
        await until_something_is_checked(element, run_id)
        await process.kill()

    async with element_process(tmp_path, issuer.jwks_url, element={"fixity": fast}) as process:
        element = process.client
        run = await finished(element, run_id)
        checks = [len((await fixity_of(element, file["file_id"]))["checks"]) for file in stored]

    assert (run["checked"], run["bad"], run["sample"]) == (len(stored), 1, "found")
    assert checks == [1] * len(stored)


async def test_the_history_of_a_file_is_bounded(element: ElementClient) -> None:
    stored = await element.stored(b"some content")
    for _ in range(KEPT_CHECKS + 2):
        await scrubbed(element, file_ids=[stored["file_id"]])

    moments = [check["checked_at"] for check in (await fixity_of(element, stored["file_id"]))["checks"]]

    assert len(moments) == KEPT_CHECKS
    assert moments == sorted(moments, reverse=True)


async def test_the_age_of_the_oldest_file_is_that_of_its_id_until_it_is_read(element: ElementClient) -> None:
    await element.stored(b"old", file_id=OLD_ID)
    other = await element.stored(b"new")
    age = "artstore_element_fixity_oldest_unverified_seconds"

    await scrubbed(element, file_ids=[other["file_id"]])
    before = await element.metric(age)
    await scrubbed(element)

    assert before > 86400
    assert await element.metric(age) < 60


async def test_files_are_read_again_without_being_asked_for(start: StartElement, tmp_path: Path) -> None:
    async with start() as element:
        stored = await damaged(element)
    # The clock was wrong once: that must not put off the next run.
    columns = "reason, checked_before, requested_at, finished_at, files, checked, checked_bytes, bad"
    values = f"'scheduled', 0, {10**17}, 0, 0, 0, 0, 0"
    in_catalog(tmp_path, f"INSERT INTO fixity_runs (run_id, {columns}) VALUES ('{OLD_ID}', {values})")

    async with start(element={"fixity": {"period": 3}}) as element:
        await element.wait_for_metric("artstore_element_fixity_bad", 1, outcome="damaged")
        status = await element.get(RUNS)

    assert status["bad"]["damaged"] == 1
    assert stored["file_id"]


async def test_the_report_comes_in_slices(element: ElementClient) -> None:
    stored = sorted([(await damaged(element))["file_id"] for _ in range(3)])
    missing = await element.stored(b"gone")
    (await data_path(element, missing)).unlink()
    await scrubbed(element)

    first = await element.get(f"{RUNS}/report", outcome="damaged", limit=2)
    rest = await element.get(f"{RUNS}/report", outcome="damaged", after=first["items"][-1]["file_id"])

    assert [item["file_id"] for item in first["items"] + rest["items"]] == stored
    assert (first["has_more"], rest["has_more"]) == (True, False)


async def test_what_cannot_be_asked_is_refused(element: ElementClient) -> None:
    reader = MINT(scope="storage:read")
    asked: list[dict[str, Any]] = [{"file_ids": []}, {"file_ids": ["x"]}, {"older_than": -1}, {"all": True}]

    answers = [await element.request("POST", RUNS, json=each) for each in asked]
    forbidden = await element.request("POST", RUNS, json={}, token=reader)
    unknown = await element.request("GET", f"{RUNS}/runs/{OLD_ID}")

    assert [answer.status for answer in answers] == [400] * 4
    assert (forbidden.status, unknown.status) == (403, 404)
    assert (await element.request("GET", RUNS, token=reader)).status == 200


async def test_too_many_waiting_runs_are_refused(start: StartElement) -> None:
    async with start(element={"fixity": {"budget": KIB}}) as element:
        await element.stored(bytes(100 * KIB))

        statuses = [(await element.request("POST", RUNS, json={})).status for _ in range(101)]

    assert statuses == [202] * 100 + [429]
