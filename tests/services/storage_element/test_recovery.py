"""What becomes of operations that were interrupted, by a fault or by the end of the process."""

import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from artstore.core.spec import InsufficientStorageError
from artstore.services.storage_element import catalog_writer, opening
from tests.services.storage_element.faulty_storage import Fault, Faults, down
from tests.services.storage_element.harness import (
    CATALOG_PATH,
    TEMPORARY,
    ElementClient,
    StartElement,
    in_catalog,
)

FILE_ID = UUID("0197b2c4-0000-7000-8000-000000000001")
URL = f"/api/v1/files/{FILE_ID}"
PENDING = "artstore_element_wal_pending"


def is_sidecar(key: str) -> bool:
    return key.endswith(".attr.json")


def down_for_sidecars(key: str) -> Exception | None:
    return down(key) if is_sidecar(key) else None


def full_for_sidecars(key: str) -> Exception | None:
    return InsufficientStorageError("the storage is full") if is_sidecar(key) else None


@pytest.fixture
def frequent_upkeep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "UPKEEP_INTERVAL", 0.02)


@pytest.mark.parametrize(("fault", "status"), [(down_for_sidecars, 503), (full_for_sidecars, 507)])
async def test_an_upload_whose_sidecar_is_not_written_leaves_nothing(
    start: StartElement, faults: Faults, fault: Fault, status: int
) -> None:
    async with start(wrap=faults.wrap) as element:
        faults.storage.fault_before_put = fault

        answer = await element.put(b"data")

        assert answer.status == status
        assert await element.metric("artstore_element_wal_rolled_back_total") == 1
        await element.assert_nothing_kept()


async def test_an_upload_that_failed_after_its_sidecar_was_in_place_is_stored(
    start: StartElement, faults: Faults
) -> None:
    async with start(wrap=faults.wrap) as element:
        faults.storage.fault_after_put = down_for_sidecars

        failed = await element.put(b"data", file_id=FILE_ID)
        again = await element.put(b"data", file_id=FILE_ID)

        assert (failed.status, again.status) == (503, 200)
        assert await element.metric("artstore_element_wal_recovered_total") == 1
        assert await element.download(str(FILE_ID)) == b"data"


async def test_what_could_not_be_settled_is_settled_before_the_next_upload(
    start: StartElement, faults: Faults
) -> None:
    async with start(wrap=faults.wrap) as element:
        faults.storage.fault_before_put = down_for_sidecars
        faults.storage.fault_on_delete = faults.storage.fault_on_get = down
        await element.put(b"data", file_id=FILE_ID)
        still_down = await element.put(b"data", file_id=FILE_ID)
        pending = await element.metric(PENDING)
        faults.heal()

        answer = await element.put(b"data", file_id=FILE_ID, name="again")

        assert still_down.status == 503
        assert pending == 1
        assert answer.status == 201
        assert [path.name.partition("_")[0] for path in await element.placed_files()] == ["again", "again"]


@pytest.mark.usefixtures("frequent_upkeep")
async def test_what_could_not_be_settled_is_settled_in_time(start: StartElement, faults: Faults) -> None:
    async with start(wrap=faults.wrap) as element:
        faults.storage.fault_before_put = down_for_sidecars
        faults.storage.fault_on_delete = faults.storage.fault_on_get = down
        await element.put(b"data")
        faults.heal()

        await element.wait_for_metric(PENDING, 0)

        await element.assert_nothing_kept()


def other_writer(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


async def test_a_file_that_the_catalog_could_not_note_is_noted_later(
    start: StartElement, faults: Faults, tmp_path: Path
) -> None:
    catalog = {"type": "sqlite", "path": CATALOG_PATH, "busy_timeout": 0.01}
    async with start(wrap=faults.wrap, catalog=catalog) as element:
        with closing(other_writer(tmp_path / CATALOG_PATH)) as somebody_else:

            def lock_at_sidecar(key: str) -> Exception | None:
                if is_sidecar(key):
                    somebody_else.execute("BEGIN IMMEDIATE")
                return None

            faults.storage.fault_before_put = lock_at_sidecar
            failed = await element.put(b"data", file_id=FILE_ID)
        faults.heal()

        again = await element.put(b"data", file_id=FILE_ID)

        assert (failed.status, again.status) == (503, 200)
        assert again.headers["Artstore-Position"] == "se-01:1"


async def test_a_change_that_failed_leaves_the_old_version(start: StartElement, faults: Faults) -> None:
    async with start(wrap=faults.wrap) as element:
        stored = await element.stored(b"data", file_id=FILE_ID)
        faults.storage.fault_before_put = down

        answer = await element.request("PATCH", URL, json={"tags": ["new"]})

        assert answer.status == 503
        assert await element.get(URL) == stored
        assert await element.metric(PENDING) == 0


async def test_a_deletion_that_failed_leaves_the_file(start: StartElement, faults: Faults) -> None:
    async with start(wrap=faults.wrap) as element:
        await element.stored(b"data", file_id=FILE_ID, **TEMPORARY)
        faults.storage.fault_before_put = down

        answer = await element.request("DELETE", URL)

        assert answer.status == 503
        assert await element.download(str(FILE_ID)) == b"data"


@pytest.mark.usefixtures("frequent_upkeep")
async def test_the_data_of_a_deleted_file_are_removed_when_that_is_possible(
    start: StartElement, faults: Faults
) -> None:
    async with start(wrap=faults.wrap) as element:
        await element.stored(b"data", file_id=FILE_ID, **TEMPORARY)
        faults.storage.fault_on_delete = down

        answer = await element.request("DELETE", URL)
        left = len(await element.placed_files())
        faults.heal()
        await element.wait_for_metric(PENDING, 0)

        assert answer.status == 200
        assert left == 2
        assert [is_sidecar(path.name) for path in await element.placed_files()] == [True]


async def stopped_after_upload(start: StartElement) -> ElementClient:
    """An element that has stored one file and is stopped."""
    async with start() as element:
        await element.stored(b"data", file_id=FILE_ID)
    return element


FORGET_UPLOAD = (
    "DELETE FROM catalog_files",
    "DELETE FROM catalog_journal",
    "UPDATE catalog_wal SET status = 'pending', completed_at = NULL",
)


async def test_an_upload_that_reached_its_sidecar_is_finished_at_start(
    start: StartElement, tmp_path: Path
) -> None:
    await stopped_after_upload(start)
    in_catalog(tmp_path, *FORGET_UPLOAD)

    async with start() as element:
        assert await element.file_ids() == [str(FILE_ID)]
        assert await element.download(str(FILE_ID)) == b"data"
        assert (await element.get("/api/v1/journal"))["last_sequence"] == 1
        assert await element.metric("artstore_element_wal_recovered_total") == 1


async def test_an_upload_that_did_not_reach_its_sidecar_is_undone_at_start(
    start: StartElement, tmp_path: Path
) -> None:
    stopped = await stopped_after_upload(start)
    stopped.data_files()[1].unlink()
    in_catalog(tmp_path, *FORGET_UPLOAD)

    async with start() as element:
        assert await element.metric("artstore_element_wal_rolled_back_total") == 1
        await element.assert_nothing_kept()


async def test_a_deletion_that_reached_its_tombstone_is_finished_at_start(
    start: StartElement, tmp_path: Path
) -> None:
    async with start() as element:
        await element.stored(b"data", file_id=FILE_ID, **TEMPORARY)
        data = (await element.placed_files())[0]
        await element.request("DELETE", URL)
    data.write_bytes(b"data")
    in_catalog(tmp_path, "UPDATE catalog_wal SET status = 'pending' WHERE operation = 'file_delete'")

    async with start() as element:
        assert not data.exists()
        assert await element.file_ids() == []
        assert await element.metric("artstore_element_wal_recovered_total") == 1


async def test_the_log_of_what_is_finished_does_not_grow_for_ever(
    start: StartElement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_writer, "KEPT_INTENTS", 2)
    async with start() as element:
        for _ in range(10):
            await element.stored(b"data")

    with closing(sqlite3.connect(tmp_path / CATALOG_PATH)) as catalog:
        (rows,) = catalog.execute("SELECT COUNT(*) FROM catalog_wal").fetchone()

    assert 2 <= rows <= 4


async def test_recovering_twice_changes_nothing(start: StartElement, tmp_path: Path) -> None:
    await stopped_after_upload(start)
    in_catalog(tmp_path, "UPDATE catalog_wal SET status = 'pending'")

    async with start() as element:
        assert await element.file_ids() == [str(FILE_ID)]
        assert (await element.get("/api/v1/journal"))["last_sequence"] == 1


async def test_data_beside_a_sidecar_that_cannot_be_read_are_not_removed(
    start: StartElement, tmp_path: Path
) -> None:
    stopped = await stopped_after_upload(start)
    data, sidecar = stopped.data_files()
    sidecar.write_bytes(b"{")
    in_catalog(tmp_path, *FORGET_UPLOAD)

    async with start() as element:
        assert await element.file_ids() == []
        assert data.read_bytes() == b"data"
        assert await element.metric("artstore_element_wal_failed_total") == 1
        assert await element.metric(PENDING) == 0
