"""The catalog may be lost at any time: the sidecars say everything again."""

import json
import shutil
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from artstore.core.spec import (
    ByteRange,
    Capabilities,
    NotFoundError,
    StorageBackend,
    StorageReader,
    UnavailableError,
)
from artstore.services.storage_element import sidecars
from tests.services.storage_element.faulty_storage import Faults, FaultyStorage, down
from tests.services.storage_element.harness import (
    CATALOG_PATH,
    TEMPORARY,
    ElementClient,
    StartElement,
    in_catalog,
    lose_catalog,
    sha256,
)


class WithoutFiles(FaultyStorage):
    """A storage whose objects are no files of this host."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, local_paths=None)


async def filled(element: ElementClient) -> list[dict[str, Any]]:
    """Three files, one changed and one deleted; those that are left."""
    stored = [await element.stored(f"{n}".encode(), name=f"{n}.txt", **TEMPORARY) for n in range(3)]
    await element.request("PATCH", f"/api/v1/files/{stored[0]['file_id']}", json={"tags": ["new"]})
    await element.request("DELETE", f"/api/v1/files/{stored[1]['file_id']}")
    return list((await element.get("/api/v1/files"))["items"])


async def test_a_lost_catalog_is_built_again(start: StartElement, tmp_path: Path) -> None:
    async with start() as element:
        files = await filled(element)
    lose_catalog(tmp_path)

    async with start() as element:
        listed = await element.get("/api/v1/files")

        assert listed["items"] == files
        assert listed["total"] == 2
        assert await element.download(files[0]["file_id"]) == b"0"


async def test_a_catalog_is_built_from_objects_that_are_no_files(start: StartElement, tmp_path: Path) -> None:
    async with start(wrap=WithoutFiles) as element:
        files = await filled(element)
        (await element.placed_files())[-1].write_bytes(b"{")
        damaged = files.pop()
    lose_catalog(tmp_path)

    async with start(wrap=WithoutFiles) as element:
        listed = await element.get("/api/v1/files")

        assert listed["items"] == files
        assert damaged not in listed["items"]
        assert await element.download(files[0]["file_id"]) == b"0"
        assert await element.metric("artstore_element_sidecars_unreadable") == 1


async def test_a_sidecar_that_is_not_given_out_at_once_is_asked_for_again(
    start: StartElement, faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sidecars, "PAUSE", 0.01)
    async with start() as element:
        stored = await element.stored(b"data")
    lose_catalog(tmp_path)
    refusals = iter([UnavailableError("slow down"), UnavailableError("slow down")])

    def wrap(storage: StorageBackend) -> StorageBackend:
        faulty = faults.wrap(WithoutFiles(storage))
        faulty.fault_on_get = lambda key: next(refusals, None) if key.endswith(".attr.json") else None
        return faulty

    async with start(wrap=wrap) as element:
        assert await element.file_ids() == [stored["file_id"]]
        assert next(refusals, None) is None


async def test_a_new_catalog_has_a_new_epoch_and_a_journal_without_gaps(
    start: StartElement, tmp_path: Path
) -> None:
    async with start() as element:
        await filled(element)
        old = await element.get("/api/v1/journal")
    lose_catalog(tmp_path)

    async with start() as element:
        new = await element.get("/api/v1/journal")

    assert new["epoch"] != old["epoch"]
    assert [entry["sequence"] for entry in new["items"]] == [1, 2, 3]
    assert [entry["operation"] for entry in new["items"]] == ["create", "delete", "create"]
    assert {entry["file_id"] for entry in new["items"]} == {entry["file_id"] for entry in old["items"]}


async def test_a_deleted_file_stays_deleted(start: StartElement, tmp_path: Path) -> None:
    async with start() as element:
        stored = await element.stored(b"data", **TEMPORARY)
        await element.request("DELETE", f"/api/v1/files/{stored['file_id']}")
    lose_catalog(tmp_path)

    async with start() as element:
        answer = await element.put(b"data", file_id=stored["file_id"])

        assert await element.file_ids() == []
        assert answer.status == 409


async def test_the_element_goes_on_after_a_rebuild(start: StartElement, tmp_path: Path) -> None:
    async with start() as element:
        files = await filled(element)
    lose_catalog(tmp_path)

    async with start() as element:
        answer = await element.put(b"more")
        again = await element.put(b"0", file_id=files[0]["file_id"])

        assert answer.headers["Artstore-Position"] == "se-01:4"
        assert again.status == 200
        assert again.json()["attributes"]["tags"] == ["new"]


async def test_sidecars_that_cannot_be_read_are_counted_and_never_fatal(
    start: StartElement, tmp_path: Path
) -> None:
    async with start() as element:
        for number in range(4):
            await element.stored(f"{number}".encode())
        sidecars = (await element.placed_files())[1::2]
    sidecars[0].write_bytes(b"{")
    sidecars[1].write_bytes(sidecars[1].read_bytes().replace(b'"2.0"', b'"3.0"'))
    sidecars[2].write_bytes(b"x" * 2_000_000)
    lose_catalog(tmp_path)

    async with start() as element:
        assert len(await element.file_ids()) == 1
        assert await element.metric("artstore_element_sidecars_unreadable") == 3


async def test_an_archive_of_the_predecessor_is_read(start: StartElement, tmp_path: Path) -> None:
    data = tmp_path / "storage" / "2025" / "01" / "02" / "03" / "old.txt"
    data.parent.mkdir(parents=True)
    data.write_bytes(b"old")
    sidecar = {
        "file_id": "0b8f5c3e-6c1e-4d7a-9a51-0e6a5f0c4c11",
        "original_filename": "old.txt",
        "storage_filename": "old.txt",
        "storage_path": "2025/01/02/03/",
        "file_size": 3,
        "checksum": sha256(b"old"),
        "created_at": "2025-01-02T03:04:05+00:00",
        "updated_at": "2025-01-02T03:04:05+00:00",
        "created_by_id": "1",
        "created_by_username": "petrov",
        "metadata": {"project": "alpha"},
    }
    data.with_name("old.txt.attr.json").write_text(json.dumps(sidecar))

    async with start(element={"adopt_root": True, "mode": "edit"}) as element:
        stored = await element.get(f"/api/v1/files/{sidecar['file_id']}")

        assert stored["custom_attributes"] == {"project": "alpha"}
        assert await element.download(str(sidecar["file_id"])) == b"old"


async def test_an_archive_that_was_moved_within_its_root_is_read(start: StartElement, tmp_path: Path) -> None:
    async with start() as element:
        stored = await element.stored(b"data")
    year = stored["storage_path"].partition("/")[0]
    (tmp_path / "storage" / year).rename(tmp_path / "storage" / "1999")
    lose_catalog(tmp_path)

    async with start() as element:
        assert await element.download(stored["file_id"]) == b"data"


async def test_a_file_that_somebody_copied_is_listed_once(start: StartElement, tmp_path: Path) -> None:
    async with start() as element:
        stored = await element.stored(b"data")
    year = tmp_path / "storage" / stored["storage_path"].partition("/")[0]
    shutil.copytree(year, year.with_name("9999"))
    lose_catalog(tmp_path)

    async with start() as element:
        journal = await element.get("/api/v1/journal")

        assert await element.file_ids() == [stored["file_id"]]
        assert len(journal["items"]) == 1


async def test_a_catalog_of_another_format_is_built_again(start: StartElement, tmp_path: Path) -> None:
    async with start() as element:
        files = await filled(element)
    in_catalog(
        tmp_path,
        "DROP TABLE catalog_files",
        "CREATE TABLE catalog_files (something INTEGER)",
        "UPDATE catalog_meta SET value = '0' WHERE name = 'format'",
    )

    async with start() as element:
        assert (await element.get("/api/v1/files"))["items"] == files


async def test_a_catalog_that_missed_a_start_is_built_again(start: StartElement, tmp_path: Path) -> None:
    catalog = tmp_path / CATALOG_PATH
    async with start() as element:
        await element.stored(b"known to the copy")
    shutil.copy(catalog, tmp_path / "copy.db")
    async with start() as element:
        stored = await element.stored(b"unknown to the copy")
    lose_catalog(tmp_path)
    shutil.copy(tmp_path / "copy.db", catalog)

    async with start() as element:
        assert stored["file_id"] in await element.file_ids()


async def test_a_catalog_that_was_open_when_the_machine_went_down_is_built_again(
    start: StartElement, tmp_path: Path
) -> None:
    async with start() as element:
        stored = await element.stored(b"acknowledged")
        epoch = (await element.get("/api/v1/info"))["epoch"]
    in_catalog(
        tmp_path,
        "DELETE FROM catalog_meta WHERE name = 'stopped'",
        "UPDATE catalog_meta SET value = 'an earlier run of the kernel' WHERE name = 'boot'",
        "DELETE FROM catalog_files",
    )

    async with start() as element:
        assert await element.file_ids() == [stored["file_id"]]
        assert (await element.get("/api/v1/info"))["epoch"] != epoch


async def test_a_rebuild_that_was_interrupted_begins_again(start: StartElement, tmp_path: Path) -> None:
    async with start() as element:
        files = await filled(element)
    in_catalog(tmp_path, "DELETE FROM catalog_meta", "DELETE FROM catalog_journal")

    async with start() as element:
        assert (await element.get("/api/v1/files"))["items"] == files


async def test_a_catalog_of_another_root_of_the_element_is_not_believed(
    start: StartElement, tmp_path: Path
) -> None:
    catalog = {"type": "sqlite", "path": str(tmp_path / "catalog.db")}
    async with start(catalog=catalog) as element:
        await filled(element)
    shutil.rmtree(tmp_path / "storage")
    async with start():
        pass

    async with start(catalog=catalog) as element:
        assert await element.file_ids() == []
        assert (await element.get("/api/v1/info"))["last_sequence"] == 0


class Outage(WithoutFiles):
    """A storage that is away as soon as the first sidecar is read."""

    def get(
        self, key: str, *, byte_range: ByteRange | None = None
    ) -> AbstractAsyncContextManager[StorageReader]:
        if key.endswith(".attr.json"):
            self.fault_on_get = self.fault_on_head = down
        return super().get(key, byte_range=byte_range)


async def test_an_outage_makes_no_sidecar_unreadable(
    start: StartElement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sidecars, "PAUSE", 0.01)
    async with start() as element:
        files = await filled(element)
    lose_catalog(tmp_path)

    with pytest.raises(UnavailableError, match="the storage is down"):
        async with start(wrap=Outage):
            pass

    async with start() as element:
        assert (await element.get("/api/v1/files"))["items"] == files
        assert await element.metric("artstore_element_sidecars_unreadable") == 0


class Unmounted(WithoutFiles):
    """A storage from which everything vanishes as soon as the first sidecar is read."""

    def get(
        self, key: str, *, byte_range: ByteRange | None = None
    ) -> AbstractAsyncContextManager[StorageReader]:
        if key.endswith(".attr.json"):
            self.fault_on_get = self.fault_on_head = NotFoundError
        return super().get(key, byte_range=byte_range)


async def test_what_vanishes_together_with_its_root_is_not_forgotten(
    start: StartElement, tmp_path: Path
) -> None:
    async with start() as element:
        files = await filled(element)
    lose_catalog(tmp_path)

    with pytest.raises(UnavailableError, match=r"element\.json"):
        async with start(wrap=Unmounted):
            pass

    async with start() as element:
        assert (await element.get("/api/v1/files"))["items"] == files
