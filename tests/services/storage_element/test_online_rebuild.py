"""The catalog is built again beside the one that serves, and takes its place."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from artstore.core.spec import StorageBackend, UnavailableError
from artstore.services.storage_element import rebuild
from tests.services.storage_element.harness import (
    CATALOG_PATH,
    MINT,
    POLL_INTERVAL,
    TEMPORARY,
    ElementClient,
    StartElement,
    in_catalog,
    sha256,
)
from tests.services.storage_element.held_storage import HeldStorage, Holder

REBUILD = "/api/v1/catalog/rebuild"


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "BATCH_SIZE", 2)


async def start_rebuild(element: ElementClient) -> dict[str, Any]:
    answer = await element.request("POST", REBUILD)
    assert answer.status == 202, answer
    status: dict[str, Any] = answer.json()
    return status


async def ended(element: ElementClient) -> dict[str, Any]:
    """The status of the rebuild, once it has ended."""
    while True:
        status: dict[str, Any] = await element.get(REBUILD)
        if status["state"] != "running":
            return status
        await asyncio.sleep(POLL_INTERVAL)


async def wait_until_held(element: ElementClient, storage: HeldStorage) -> None:
    """Until it has read what it was given."""
    await storage.is_held.wait()
    await element.wait_for_metric("artstore_element_catalog_rebuild_sidecars", 2)


async def rebuilt(element: ElementClient, *, accept_loss: bool = False) -> dict[str, Any]:
    answer = await element.request("POST", f"{REBUILD}?accept_loss={str(accept_loss).lower()}")
    assert answer.status == 202, answer
    status = await ended(element)
    assert status["state"] == "done", status
    return status


async def described(element: ElementClient) -> dict[str, str]:
    """The digest of the sidecar of every file, deleted ones included, as the journal tells it."""
    journal = await element.get("/api/v1/journal", limit=1000)
    assert not journal["has_more"]
    return {entry["file_id"]: entry["attributes_digest"] for entry in journal["items"]}


async def test_a_rebuild_begins_a_new_epoch_and_says_the_same(element: ElementClient) -> None:
    stored = [await element.stored(f"{n}".encode(), name=f"{n}.txt", **TEMPORARY) for n in range(5)]
    await element.request("PATCH", f"/api/v1/files/{stored[0]['file_id']}", json={"tags": ["new"]})
    await element.request("DELETE", f"/api/v1/files/{stored[1]['file_id']}")
    before, files = await described(element), await element.get("/api/v1/files")
    epoch = (await element.get("/api/v1/info"))["epoch"]

    status = await rebuilt(element)

    info = await element.get("/api/v1/info")
    assert await described(element) == before
    assert await element.get("/api/v1/files") == files
    assert (info["epoch"], info["last_sequence"]) == (status["epoch"], 5)
    assert info["epoch"] != epoch
    assert (status["sidecars"], status["expected"], status["files"], status["faults"]) == (5, 5, 5, {})
    assert await element.metric("artstore_element_catalog_rebuild_sidecars") == 5
    assert await element.metric("artstore_element_catalog_rebuilding") == 0


@pytest.mark.usefixtures("small_batches")
async def test_meanwhile_the_element_serves_and_what_changes_is_carried_over(start: StartElement) -> None:
    holder = Holder()
    async with start() as element:
        stored = [await element.stored(f"{n}".encode(), name=f"{n}.txt", **TEMPORARY) for n in range(8)]
    async with start(wrap=holder.wrap) as element:
        url = [f"/api/v1/files/{file['file_id']}" for file in stored]
        epoch = (await element.get("/api/v1/info"))["epoch"]
        status = await start_rebuild(element)
        await holder.storage.is_held.wait()

        # Of what was read, and of what was not read yet.
        for number in (0, 6):
            assert (await element.request("PATCH", url[number], json={"tags": ["new"]})).status == 200
        for number in (1, 7):
            assert (await element.request("DELETE", url[number])).status == 200
        added = [await element.stored(f"new {n}".encode(), name=name) for n, name in enumerate("0z")]
        again = await start_rebuild(element)
        before, files = await described(element), await element.get("/api/v1/files")
        during = await element.get("/api/v1/info")
        holder.storage.go_on.set()
        assert (await ended(element))["state"] == "done"

        assert (status["state"], again["started_at"]) == ("running", status["started_at"])
        assert during["epoch"] == epoch
        assert await described(element) == before
        assert await element.get("/api/v1/files") == files
        assert len(files["items"]) == 8
        assert await element.download(added[0]["file_id"]) == b"new 0"
        assert (await element.put(b"", file_id=stored[1]["file_id"])).status == 409
        journal = (await element.get("/api/v1/journal", limit=1000))["items"]
        assert [entry["sequence"] for entry in journal] == list(range(1, len(journal) + 1))


@pytest.mark.usefixtures("small_batches")
async def test_under_load_readers_never_miss_a_file_and_nothing_acknowledged_is_lost(
    element: ElementClient,
) -> None:
    known = [(await element.stored(f"{n}".encode()))["file_id"] for n in range(60)]
    stored: list[str] = []

    async def keep_storing(stop: asyncio.Event) -> None:
        while not stop.is_set():
            stored.append((await element.stored(b"new"))["file_id"])

    async def keep_reading(stop: asyncio.Event) -> None:
        while not stop.is_set():
            acknowledged = {*known, *stored}
            assert acknowledged <= set(await element.file_ids())

    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for work in (keep_storing, keep_storing, keep_reading):
            group.create_task(work(stop))
        for _ in range(3):
            await rebuilt(element)
        stop.set()

    assert sorted(await element.file_ids()) == sorted({*known, *stored})
    info = await element.get("/api/v1/info")
    assert info["file_count"] == len(known) + len(stored)


async def test_who_waits_for_the_journal_learns_of_the_new_epoch_at_once(element: ElementClient) -> None:
    await element.stored(b"one")
    waiting = asyncio.create_task(element.get("/api/v1/journal", after=1, wait=8))
    await asyncio.sleep(POLL_INTERVAL)

    status = await rebuilt(element)

    assert (await asyncio.wait_for(waiting, 5))["epoch"] == status["epoch"]


@pytest.mark.usefixtures("small_batches")
async def test_a_rebuild_that_a_stop_interrupted_goes_on_where_it_was(start: StartElement) -> None:
    first, second = Holder(), Holder(held_after=1000)
    async with start() as element:
        stored = [await element.stored(f"{n}".encode(), name=f"{n}.txt", **TEMPORARY) for n in range(8)]
    async with start(wrap=first.wrap) as element:
        await start_rebuild(element)
        await wait_until_held(element, first.storage)
        await element.request("DELETE", f"/api/v1/files/{stored[0]['file_id']}")
        before = await described(element)

    async with start(wrap=second.wrap) as element:
        status = await ended(element)

        assert (status["state"], status["sidecars"], status["files"]) == ("done", 8, 8)
        assert second.storage.listed_after[0] is not None
        assert await described(element) == before
        assert stored[0]["file_id"] not in await element.file_ids()


@pytest.mark.usefixtures("small_batches")
async def test_a_rebuild_before_serving_goes_on_where_it_was(start: StartElement, tmp_path: Path) -> None:
    def failing(storage: StorageBackend) -> StorageBackend:
        held = HeldStorage(storage, held_after=4)
        held.failure = UnavailableError("the disk does not answer")
        held.go_on.set()
        return held

    second = Holder(held_after=1000)
    async with start() as element:
        stored = [await element.stored(f"{n}".encode(), name=f"{n}.txt", **TEMPORARY) for n in range(8)]
    in_catalog(tmp_path, "DELETE FROM catalog_meta")
    with pytest.raises(UnavailableError, match="does not answer"):
        async with start(wrap=failing):
            pass

    async with start(wrap=second.wrap) as element:
        assert second.storage.listed_after[0] is not None
        assert sorted(await element.file_ids()) == sorted(file["file_id"] for file in stored)


@pytest.mark.usefixtures("small_batches")
async def test_what_was_half_built_is_not_believed_when_the_root_has_been_started_since(
    start: StartElement, tmp_path: Path
) -> None:
    catalog, copy = tmp_path / CATALOG_PATH, tmp_path / "copy.db"
    holder = Holder()
    async with start() as element:
        stored = [await element.stored(f"{n}".encode(), name=f"{n}.txt", **TEMPORARY) for n in range(8)]
    async with start(wrap=holder.wrap) as element:
        await start_rebuild(element)
        await wait_until_held(element, holder.storage)
    shutil.copy(catalog, copy)
    async with start() as element:
        await element.request("DELETE", f"/api/v1/files/{stored[0]['file_id']}")
    for path in catalog.parent.glob("catalog.db*"):
        path.unlink()
    shutil.copy(copy, catalog)

    async with start() as element:
        assert stored[0]["file_id"] not in await element.file_ids()


@pytest.mark.usefixtures("small_batches")
async def test_a_rebuild_can_be_given_up(start: StartElement) -> None:
    holder = Holder()
    async with start() as element:
        for number in range(8):
            await element.stored(f"{number}".encode())
    async with start(wrap=holder.wrap) as element:
        epoch = (await element.get("/api/v1/info"))["epoch"]
        await start_rebuild(element)
        await holder.storage.is_held.wait()

        answer = await element.request("DELETE", REBUILD)

        assert (answer.status, answer.json()["state"]) == (200, "cancelled")
        assert (await element.get("/api/v1/info"))["epoch"] == epoch
        assert len(await element.file_ids()) == 8
        holder.storage.go_on.set()
        assert (await rebuilt(element))["files"] == 8


@pytest.mark.usefixtures("small_batches")
async def test_a_rebuild_that_fails_says_why_and_leaves_the_catalog(start: StartElement) -> None:
    holder = Holder()
    async with start() as element:
        for number in range(8):
            await element.stored(f"{number}".encode())
    async with start(wrap=holder.wrap) as element:
        await start_rebuild(element)
        await holder.storage.is_held.wait()
        holder.storage.failure = UnavailableError("the disk does not answer")
        holder.storage.go_on.set()

        status = await ended(element)

        assert (status["state"], status["reason"]) == ("failed", "the disk does not answer")
        assert len(await element.file_ids()) == 8
        assert (await element.put(b"more")).status == 201


async def test_a_rebuild_that_lacks_more_than_a_few_files_is_not_put_in_place(element: ElementClient) -> None:
    lost = [await element.stored(f"{n}".encode()) for n in range(11)]
    await element.placed_files()
    hidden = [element.root / file["storage_path"] / f"{file['storage_filename']}.attr.json" for file in lost]
    for path in hidden:
        path.rename(path.with_suffix(".hidden"))

    await start_rebuild(element)
    refused = await ended(element)
    known = await element.file_ids()
    accepted = await rebuilt(element, accept_loss=True)

    assert refused["state"] == "failed"
    assert "at most 10 may be" in refused["reason"]
    assert refused["lacking"] == len(refused["lacking_examples"]) == 11
    assert known == [file["file_id"] for file in lost]
    assert (accepted["lacking"], accepted["files"], await element.file_ids()) == (11, 0, [])


async def test_a_few_files_that_are_lacking_are_named(element: ElementClient) -> None:
    lost, kept = [await element.stored(content) for content in (b"lost", b"kept")]
    await element.placed_files()
    sidecar = element.root / lost["storage_path"] / f"{lost['storage_filename']}.attr.json"
    sidecar.unlink()

    status = await rebuilt(element)

    assert [each["key"] for each in status["lacking_examples"]] == [
        f"{lost['storage_path']}/{lost['storage_filename']}"
    ]
    assert await element.file_ids() == [kept["file_id"]]


async def test_what_others_keep_in_the_database_survives(start: StartElement, tmp_path: Path) -> None:
    async with start() as element:
        await element.stored(b"data")
    in_catalog(tmp_path, "CREATE TABLE history (said TEXT)", "INSERT INTO history VALUES ('kept')")

    async with start() as element:
        await rebuilt(element)

    with closing(sqlite3.connect(tmp_path / CATALOG_PATH)) as catalog:
        assert catalog.execute("SELECT said FROM history").fetchall() == [("kept",)]
        names = {name for (name,) in catalog.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert not {name for name in names if "next" in name or "old" in name}


async def test_what_a_rebuild_put_aside_when_it_was_interrupted_is_forgotten_by_the_next(
    start: StartElement, tmp_path: Path
) -> None:
    async with start() as element:
        stored = [(await element.stored(f"{n}".encode()))["file_id"] for n in range(3)]
    in_catalog(
        tmp_path,
        "CREATE TABLE catalog_old_files AS SELECT * FROM catalog_files",
        "CREATE TABLE catalog_old_journal AS SELECT * FROM catalog_journal",
    )

    async with start() as element:
        await rebuilt(element)

        assert sorted(await element.file_ids()) == sorted(stored)
    with closing(sqlite3.connect(tmp_path / CATALOG_PATH)) as catalog:
        names = {name for (name,) in catalog.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert not {name for name in names if "old" in name}


def cut(sidecar: bytes) -> bytes:
    return sidecar[:-1]


def of_foreign_version(sidecar: bytes) -> bytes:
    return sidecar.replace(b'"2.0"', b'"3.0"')


def too_large(sidecar: bytes) -> bytes:
    return sidecar + b" " * 2_000_000


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(cut, "not JSON"), (of_foreign_version, "reads 1 and 2"), (too_large, "more than the limit")],
)
async def test_a_sidecar_that_cannot_be_read_is_named_with_its_reason(
    element: ElementClient, damage: Callable[[bytes], bytes], reason: str
) -> None:
    kept, damaged = [await element.stored(name=name) for name in ("a.txt", "b.txt")]
    sidecar = (await element.placed_files())[3]
    sidecar.write_bytes(damage(sidecar.read_bytes()))

    status = await rebuilt(element)

    assert status["faults"] == {"unreadable": 1}
    assert status["examples"]["unreadable"][0]["key"] == str(sidecar.relative_to(element.root))
    assert reason in status["examples"]["unreadable"][0]["reason"]
    assert await element.file_ids() == [kept["file_id"]]
    assert await element.metric("artstore_element_sidecars_unreadable") == 1
    assert sidecar.exists()
    assert damaged["storage_filename"] in {path.name for path in element.data_files()}


async def test_a_sidecar_of_another_file_is_not_taken_for_its_own(element: ElementClient) -> None:
    first, second = [await element.stored(name.encode(), name=name) for name in ("a", "b")]
    files = await element.placed_files()
    files[3].write_bytes(files[1].read_bytes())

    status = await rebuilt(element)

    (example,) = status["examples"]["foreign"]
    assert status["faults"] == {"foreign": 1}
    assert example["key"] == str(files[3].relative_to(element.root))
    assert first["file_id"] in example["reason"]
    assert second["file_id"] in example["reason"]
    assert await element.file_ids() == [first["file_id"]]
    assert await element.download(first["file_id"]) == b"a"


@pytest.mark.parametrize("year", ["1000", "9999"])
@pytest.mark.parametrize("size", [1, 500])
async def test_of_several_copies_the_one_in_its_place_holds_and_the_others_are_named(
    element: ElementClient, monkeypatch: pytest.MonkeyPatch, year: str, size: int
) -> None:
    monkeypatch.setattr(rebuild, "BATCH_SIZE", size)
    kept, removed = [await element.stored(name.encode(), name=name, **TEMPORARY) for name in ("a", "b")]
    await element.placed_files()
    original = element.root / kept["storage_path"].partition("/")[0]
    await asyncio.to_thread(shutil.copytree, original, original.with_name(year))
    await element.request("PATCH", f"/api/v1/files/{kept['file_id']}", json={"tags": ["new"]})
    await element.request("DELETE", f"/api/v1/files/{removed['file_id']}")
    await element.placed_files()
    before = await described(element)

    status = await rebuilt(element)

    assert status["faults"] == {"copy": 2}
    assert {example["key"].partition("/")[0] for example in status["examples"]["copy"]} == {year}
    assert await described(element) == before
    assert await element.file_ids() == [kept["file_id"]]
    assert sha256(await element.download(kept["file_id"])) == kept["checksum"]


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_only_an_administrator_may(element: ElementClient, method: str) -> None:
    answer = await element.request(method, REBUILD, token=MINT(scope="storage:read storage:write"))

    assert (answer.status, answer.problem) == (403, "forbidden")
