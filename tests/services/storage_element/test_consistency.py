"""Storage and catalog are compared: what is wrong is named, what is under way is not, and nothing is lost."""

import asyncio
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from artstore.core.ids import new_file_id
from artstore.core.spec import UnavailableError
from artstore.services.storage_element import consistency, repairs
from tests.services.storage_element.faulty_storage import Faults, down
from tests.services.storage_element.harness import (
    MINT,
    POLL_INTERVAL,
    TEMPORARY,
    ElementClient,
    StartElement,
    in_catalog,
    lose_catalog,
)
from tests.services.storage_element.held_storage import Holder

CONSISTENCY = "/api/v1/catalog/consistency"
KIB = 1024
LONG_AGO = 10**9
"""Seconds since 1970."""


class Archive:
    """An element with two files, ``kept`` and ``other``, and a deleted one."""

    def __init__(self, element: ElementClient, files: dict[str, dict[str, Any]]) -> None:
        self.element = element
        self.files = files

    @classmethod
    async def filled(cls, element: ElementClient) -> "Archive":
        files = {
            name: await element.stored(name.encode(), name=name, **TEMPORARY)
            for name in ("kept", "other", "gone")
        }
        await element.request("DELETE", f"/api/v1/files/{files['gone']['file_id']}")
        await element.placed_files()
        return cls(element, files)

    def id(self, name: str) -> str:
        return str(self.files[name]["file_id"])

    def key(self, name: str) -> str:
        return f"{self.files[name]['storage_path']}/{self.files[name]['storage_filename']}"

    def data(self, name: str) -> Path:
        return self.element.root / self.key(name)

    def sidecar(self, name: str) -> Path:
        return self.element.root / f"{self.key(name)}.attr.json"

    def orphan(self) -> Path:
        """Data under a name of our own, without a sidecar."""
        data = self.data("kept")
        path = data.with_name(data.name.replace(self.id("kept"), str(new_file_id())))
        path.write_bytes(b"orphan")
        return path


@pytest.fixture
async def archive(element: ElementClient) -> Archive:
    return await Archive.filled(element)


async def start_check(element: ElementClient, **request: Any) -> dict[str, Any]:
    answer = await element.request("POST", CONSISTENCY, json=request)
    assert answer.status == 202, answer
    status: dict[str, Any] = answer.json()
    return status


async def ended(element: ElementClient) -> dict[str, Any]:
    """The report of the comparison, once it has ended."""
    while True:
        report: dict[str, Any] = await element.get(CONSISTENCY)
        if report["state"] != "running":
            return report
        await asyncio.sleep(POLL_INTERVAL)


async def checked(element: ElementClient, **request: Any) -> dict[str, Any]:
    await start_check(element, **request)
    report = await ended(element)
    assert report["state"] == "done", report
    return report


async def repaired(element: ElementClient, *kinds: str, **request: Any) -> dict[str, Any]:
    answer = await element.request(
        "POST", f"{CONSISTENCY}/repair", json={"dry_run": False, "kinds": kinds, **request}
    )
    assert answer.status == 200, answer
    report: dict[str, Any] = answer.json()
    return report


async def test_where_all_is_well_nothing_is_found(archive: Archive) -> None:
    report = await checked(archive.element, verify=True)

    assert (report["totals"], report["examples"], report["complete"]) == ({}, [], True)
    assert (report["objects"], report["sidecars"]) == (5, 3)
    assert (report["rows"], report["expected_rows"]) == (3, 3)
    assert report["data_size"] == len("kept") + len("other")


def stranger(archive: Archive) -> str:
    (archive.element.root / "notes.txt").write_text("not ours")
    return "notes.txt"


def link(archive: Archive) -> str:
    (archive.element.root / "elsewhere").symlink_to(archive.element.root.parent)
    return "elsewhere"


def pipe(archive: Archive) -> str:
    path = archive.data("kept").with_name("pipe")
    os.mkfifo(path)
    return str(path.relative_to(archive.element.root))


def in_working_area(archive: Archive) -> str:
    (archive.element.root / ".artstore/catalog.db.bak").write_text("not ours")
    return ".artstore/catalog.db.bak"


def orphan(archive: Archive) -> str:
    return str(archive.orphan().relative_to(archive.element.root))


def missing(archive: Archive) -> str:
    archive.data("kept").unlink()
    return archive.key("kept")


def directory(archive: Archive) -> str:
    archive.data("kept").unlink()
    archive.data("kept").mkdir()
    return archive.key("kept")


def link_out(archive: Archive) -> str:
    outside = archive.element.root.parent / "outside"
    outside.write_bytes(b"kept")
    archive.data("kept").unlink()
    archive.data("kept").symlink_to(outside)
    return archive.key("kept")


def longer(archive: Archive) -> str:
    archive.data("kept").write_bytes(b"kept and more")
    return archive.key("kept")


def changed(archive: Archive) -> str:
    archive.data("kept").write_bytes(b"KEPT")
    return archive.key("kept")


def undeleted(archive: Archive) -> str:
    archive.data("gone").write_bytes(b"gone")
    return archive.key("gone")


def cut(archive: Archive) -> str:
    archive.sidecar("kept").write_bytes(archive.sidecar("kept").read_bytes()[:-1])
    return f"{archive.key('kept')}.attr.json"


def of_foreign_version(archive: Archive) -> str:
    sidecar = archive.sidecar("kept")
    sidecar.write_bytes(sidecar.read_bytes().replace(b'"2.0"', b'"3.0"'))
    return f"{archive.key('kept')}.attr.json"


def too_large(archive: Archive) -> str:
    archive.sidecar("kept").write_bytes(b" " * 2_000_000)
    return f"{archive.key('kept')}.attr.json"


def foreign(archive: Archive) -> str:
    archive.sidecar("kept").write_bytes(archive.sidecar("other").read_bytes())
    return f"{archive.key('kept')}.attr.json"


def edited(archive: Archive) -> str:
    sidecar = archive.sidecar("kept")
    sidecar.write_bytes(sidecar.read_bytes().replace(b'"tags":[]', b'"tags":["by hand"]'))
    return f"{archive.key('kept')}.attr.json"


def unknown(archive: Archive) -> str:
    in_catalog(
        archive.element.root.parent, f"DELETE FROM catalog_files WHERE file_id = '{archive.id('kept')}'"
    )
    return f"{archive.key('kept')}.attr.json"


def sidecar_lost(archive: Archive) -> str:
    archive.sidecar("kept").unlink()
    return archive.key("kept")


def file_lost(archive: Archive) -> str:
    archive.sidecar("kept").unlink()
    archive.data("kept").unlink()
    return archive.key("kept")


def moved(archive: Archive) -> str:
    place = archive.data("kept").parent
    other = place.with_name("99")
    place.rename(other)
    return str((other / archive.sidecar("kept").name).relative_to(archive.element.root))


@pytest.mark.parametrize(
    ("damage", "kind", "total"),
    [
        (stranger, "stranger", 1),
        (link, "stranger", 1),
        (pipe, "stranger", 1),
        (in_working_area, "stranger", 1),
        (orphan, "orphan_data", 1),
        (missing, "missing_data", 1),
        (directory, "missing_data", 1),
        (longer, "size_difference", 1),
        (changed, "data_difference", 1),
        (undeleted, "deleted_data", 1),
        (cut, "unreadable_sidecar", 1),
        (of_foreign_version, "unreadable_sidecar", 1),
        (too_large, "unreadable_sidecar", 1),
        (foreign, "foreign_sidecar", 1),
        (edited, "outdated_row", 1),
        (moved, "outdated_row", 3),
        (unknown, "missing_row", 1),
        (sidecar_lost, "lost_sidecar", 1),
        (file_lost, "lost_file", 1),
    ],
)
async def test_what_is_wrong_is_named_and_left_as_it_is(
    archive: Archive, damage: Callable[[Archive], str], kind: str, total: int
) -> None:
    key = await asyncio.to_thread(damage, archive)
    before = archive.element.data_files()

    report = await checked(archive.element, verify=True)

    assert report["totals"] == {kind: total}
    assert key in [found["key"] for found in report["examples"]]
    assert all(found["kind"] == kind and found["reason"] for found in report["examples"])
    assert archive.element.data_files() == before
    assert await archive.element.metric("artstore_element_inconsistencies", kind=kind) == total


async def test_a_link_in_the_place_of_data_is_a_stranger_and_the_data_are_missing(archive: Archive) -> None:
    key = link_out(archive)

    report = await checked(archive.element, verify=True)

    assert report["totals"] == {"missing_data": 1, "stranger": 1}
    assert {found["key"] for found in report["examples"]} == {key}
    assert archive.data("kept").is_symlink()


async def test_copies_are_named_and_their_original_is_not(archive: Archive) -> None:
    year = archive.files["kept"]["storage_path"].partition("/")[0]
    original = archive.element.root / year
    await asyncio.to_thread(shutil.copytree, original, original.with_name("1000"))

    report = await checked(archive.element)

    assert report["totals"] == {"copied_sidecar": 3}
    assert {found["key"].partition("/")[0] for found in report["examples"]} == {"1000"}


async def test_changed_bytes_are_found_only_where_all_are_read(archive: Archive) -> None:
    changed(archive)

    assert (await checked(archive.element))["totals"] == {}


async def test_so_many_examples_are_given_as_were_asked_for(archive: Archive) -> None:
    for _ in range(3):
        archive.orphan()
    await checked(archive.element)

    two = await archive.element.get(CONSISTENCY, examples=2)
    none = await archive.element.get(CONSISTENCY, examples=0)

    assert (two["totals"], len(two["examples"]), none["examples"]) == ({"orphan_data": 3}, 2, [])


async def test_what_is_stored_and_deleted_meanwhile_is_not_reported(
    element: ElementClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consistency, "BATCH_SIZE", 2)
    for number in range(20):
        await element.stored(f"{number}".encode())

    async def keep_changing(stop: asyncio.Event, size: int) -> None:
        while not stop.is_set():
            stored = await element.stored(bytes(size), **TEMPORARY)
            await element.request("PATCH", f"/api/v1/files/{stored['file_id']}", json={"tags": ["new"]})
            await element.request("DELETE", f"/api/v1/files/{stored['file_id']}")

    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for size in (10, 100 * KIB):
            group.create_task(keep_changing(stop, size))
        reports = [await checked(element, verify=True) for _ in range(3)]
        stop.set()

    assert [report["totals"] for report in reports] == [{}] * 3


async def test_an_upload_whose_sidecar_is_still_to_come_is_not_reported(
    start: StartElement, faults: Faults
) -> None:
    data_in_place, go_on = threading.Event(), threading.Event()

    def hold_sidecar(key: str) -> Exception | None:
        if key.endswith(".attr.json"):
            data_in_place.set()
            go_on.wait(30)
        return None

    async with start(wrap=faults.wrap) as element:
        faults.storage.fault_before_put = hold_sidecar
        uploading = asyncio.create_task(element.put(bytes(100 * KIB)))
        await asyncio.to_thread(data_in_place.wait)

        report = await checked(element)
        data = element.data_files()
        go_on.set()

        assert (await uploading).status == 201
        assert len(data) == 1
        assert report["totals"] == {}
        assert report["objects"] == 1


async def test_what_a_power_cut_left_of_an_upload_is_named(
    start: StartElement, faults: Faults, tmp_path: Path
) -> None:
    """Its intent was in the catalog, which is not synced."""
    async with start(wrap=faults.wrap) as element:
        faults.storage.fault_before_put = lambda key: down(key) if key.endswith(".attr.json") else None
        faults.storage.fault_on_delete = faults.storage.fault_on_get = down
        assert (await element.put(bytes(100 * KIB))).status == 503
    lose_catalog(tmp_path)

    async with start() as element:
        report = await checked(element)

        [data] = element.data_files()
        assert report["totals"] == {"orphan_data": 1}
        assert report["examples"][0]["key"] == str(data.relative_to(element.root))
        assert str(100 * KIB) in report["examples"][0]["reason"]


async def test_a_check_that_a_stop_interrupted_goes_on_where_it_was(
    start: StartElement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consistency, "BATCH_SIZE", 2)
    first, second = Holder(), Holder(held_after=1000)
    async with start() as element:
        files = [await element.stored(f"{n}".encode(), name=f"{n}.txt") for n in range(8)]
        placed = await element.placed_files()
    placed[0].unlink()
    placed[-2].unlink()
    async with start(wrap=first.wrap) as element:
        await start_check(element)
        await first.storage.is_held.wait()
        await element.wait_for_metric("artstore_element_inconsistencies", 1, kind="missing_data")

    async with start(wrap=second.wrap) as element:
        report = await ended(element)

        assert (report["state"], report["complete"]) == ("done", True)
        assert second.storage.listed_after[0] is not None
        assert (report["objects"], report["sidecars"], report["rows"]) == (14, 8, 8)
        assert report["totals"] == {"missing_data": 2}
        assert {found["file_id"] for found in report["examples"]} == {
            files[0]["file_id"],
            files[-1]["file_id"],
        }


async def test_a_check_that_goes_on_counts_no_stranger_twice(start: StartElement, tmp_path: Path) -> None:
    async with start() as element:
        archive = await Archive.filled(element)
        names = {damage(archive) for damage in (stranger, link, pipe)}
        report = await checked(element)
    in_catalog(tmp_path, """UPDATE catalog_work SET state = replace(state, '"done"', '"running"')""")

    async with start() as element:
        again = await ended(element)

        assert report["totals"] == again["totals"] == {"stranger": 3}
        assert {found["key"] for found in again["examples"]} == names
        assert again["finished_at"] > report["finished_at"]


async def test_a_check_can_be_given_up_and_keeps_what_it_found(
    start: StartElement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consistency, "BATCH_SIZE", 2)
    holder = Holder()
    async with start() as element:
        for number in range(8):
            await element.stored(f"{number}".encode(), name=f"{number}.txt")
        placed = await element.placed_files()
    placed[0].unlink()
    async with start(wrap=holder.wrap) as element:
        await start_check(element)
        again = await start_check(element, verify=True)
        await holder.storage.is_held.wait()
        await element.wait_for_metric("artstore_element_inconsistencies", 1, kind="missing_data")

        answer = await element.request("DELETE", CONSISTENCY)

        assert again["verify"] is False
        assert (answer.json()["state"], answer.json()["complete"]) == ("cancelled", False)
        assert len((await element.get(CONSISTENCY))["examples"]) == 1


async def test_a_check_that_fails_says_why(start: StartElement) -> None:
    holder = Holder(held_after=0)
    async with start() as element:
        await element.stored(b"data")
    async with start(wrap=holder.wrap) as element:
        holder.storage.failure = UnavailableError("the disk does not answer")
        holder.storage.go_on.set()
        await start_check(element)

        report = await ended(element)

        assert (report["state"], report["complete"]) == ("failed", False)
        assert report["reason"] == "the disk does not answer"


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (unknown, "missing_row"),
        (edited, "outdated_row"),
        (moved, "outdated_row"),
        (sidecar_lost, "lost_sidecar"),
        (file_lost, "lost_file"),
        (undeleted, "deleted_data"),
    ],
)
async def test_what_can_be_repaired_is_only_told_unless_it_is_asked_for(
    archive: Archive, damage: Callable[[Archive], str], kind: str
) -> None:
    element = archive.element
    damage(archive)
    report = await checked(element)
    before = element.data_files(), (await element.get("/api/v1/info"))["last_sequence"]

    answer = await element.request("POST", f"{CONSISTENCY}/repair", json={"kinds": [kind]})
    after = element.data_files(), (await element.get("/api/v1/info"))["last_sequence"]
    done = await repaired(element, kind)
    again = await repaired(element, kind)

    total = report["totals"][kind]
    assert answer.json()["dry_run"] is True
    assert answer.json()["totals"] == {"planned": total}
    assert after == before
    assert done["totals"] == {"repaired": total}
    assert again["totals"] == {}
    await element.placed_files()
    assert (await checked(element, verify=True))["totals"] == {}


async def test_a_sidecar_that_was_lost_is_written_again_as_it_was(archive: Archive) -> None:
    sidecar = archive.sidecar("kept").read_bytes()
    sidecar_lost(archive)
    await checked(archive.element)

    await repaired(archive.element, "lost_sidecar")

    await archive.element.placed_files()
    assert archive.sidecar("kept").read_bytes() == sidecar


async def test_a_lost_sidecar_is_not_written_beside_other_data(archive: Archive) -> None:
    sidecar_lost(archive)
    changed(archive)
    await checked(archive.element)

    report = await repaired(archive.element, "lost_sidecar")

    assert report["totals"] == {"passed_over": 1}
    assert "not those" in report["repairs"][0]["action"]
    assert not archive.sidecar("kept").exists()


async def test_a_row_of_a_lost_file_is_forgotten_and_the_journal_says_so(archive: Archive) -> None:
    file_lost(archive)
    await checked(archive.element)
    last = (await archive.element.get("/api/v1/info"))["last_sequence"]

    await repaired(archive.element, "lost_file")

    [entry] = (await archive.element.get("/api/v1/journal", after=last))["items"]
    answer = await archive.element.request("GET", f"/api/v1/files/{archive.id('kept')}")
    assert (entry["operation"], entry["file_id"]) == ("delete", archive.id("kept"))
    assert "attributes" not in entry
    assert answer.status == 404
    assert await archive.element.file_ids() == [archive.id("other")]


async def test_data_without_an_owner_are_removed_when_they_are_old_and_that_is_asked_for(
    archive: Archive,
) -> None:
    old, young = archive.orphan(), archive.orphan()
    os.utime(old, (LONG_AGO, LONG_AGO))
    await checked(archive.element)

    by_default = await archive.element.request("POST", f"{CONSISTENCY}/repair", json={"dry_run": False})
    there = old.exists()
    report = await repaired(archive.element, "orphan_data", min_age_hours=24)

    assert by_default.json()["repairs"] == []
    assert there
    assert report["totals"] == {"repaired": 1, "passed_over": 1}
    assert (old.exists(), young.exists()) == (False, True)


async def test_data_that_found_an_owner_are_not_removed(archive: Archive) -> None:
    path = archive.orphan()
    os.utime(path, (LONG_AGO, LONG_AGO))
    await checked(archive.element)
    path.with_name(f"{path.name}.attr.json").write_bytes(b"{")

    report = await repaired(archive.element, "orphan_data")

    assert report["totals"] == {"passed_over": 1}
    assert path.exists()


async def test_data_of_a_file_that_the_catalog_knows_elsewhere_are_not_removed(archive: Archive) -> None:
    path = archive.element.root / "1000" / archive.data("kept").name
    path.parent.mkdir()
    shutil.copy(archive.data("kept"), path)
    os.utime(path, (LONG_AGO, LONG_AGO))
    report = await checked(archive.element)

    done = await repaired(archive.element, "orphan_data")

    assert report["totals"] == {"orphan_data": 1}
    assert (done["totals"], path.exists()) == ({"passed_over": 1}, True)


async def test_an_element_that_takes_no_files_removes_none(start: StartElement) -> None:
    async with start(element={"mode": "ro"}) as element:
        answer = await element.request(
            "POST", f"{CONSISTENCY}/repair", json={"dry_run": False, "kinds": ["orphan_data"]}
        )

        assert (answer.status, answer.problem) == (409, "mode-not-allowed")


async def test_more_changes_than_are_allowed_are_refused_all(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repairs, "CHANGES_FREE", 1)
    for name in ("kept", "other"):
        in_catalog(
            archive.element.root.parent, f"DELETE FROM catalog_files WHERE file_id = '{archive.id(name)}'"
        )
    await checked(archive.element)
    request = {"dry_run": False, "kinds": ["missing_row"]}

    refused = await archive.element.request("POST", f"{CONSISTENCY}/repair", json=request)
    known = await archive.element.file_ids()
    allowed = await repaired(archive.element, "missing_row", max_changes=2)

    assert (refused.status, refused.problem) == (400, "invalid-request")
    assert "max_changes" in refused.json()["detail"]
    assert known == []
    assert allowed["totals"] == {"repaired": 2}


async def test_what_has_no_repair_is_refused(archive: Archive) -> None:
    answer = await archive.element.request("POST", f"{CONSISTENCY}/repair", json={"kinds": ["missing_data"]})

    assert (answer.status, answer.problem) == (400, "invalid-request")
    assert answer.json()["errors"][0]["path"] == "kinds"


async def test_a_file_that_is_being_changed_is_not_repaired(start: StartElement, faults: Faults) -> None:
    held, go_on = threading.Event(), threading.Event()

    def hold(key: str) -> Exception | None:
        held.set()
        go_on.wait(30)
        return None

    async with start(wrap=faults.wrap) as element:
        archive = await Archive.filled(element)
        sidecar_lost(archive)
        await checked(element)
        faults.storage.fault_before_put = hold
        url = f"/api/v1/files/{archive.id('kept')}"
        changing = asyncio.create_task(element.request("PATCH", url, json={"tags": ["new"]}))
        await asyncio.to_thread(held.wait)

        report = await repaired(element, "lost_sidecar")
        go_on.set()

        assert (await changing).status == 200
        assert report["totals"] == {"passed_over": 1}


@pytest.mark.parametrize("path", ["", "/repair"])
async def test_only_an_administrator_may(element: ElementClient, path: str) -> None:
    token = MINT(scope="storage:read storage:write storage:delete")

    answer = await element.request("POST", f"{CONSISTENCY}{path}", token=token, json={})

    assert (answer.status, answer.problem) == (403, "forbidden")
