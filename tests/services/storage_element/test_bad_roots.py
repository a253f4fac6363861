"""A root that is not there, or cannot be written, is never taken for an empty archive."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from artstore.core.spec import ConfigurationError
from tests.cluster import artstore
from tests.services.storage_element.harness import StartElement
from tests.services.storage_element.test_consistency import CONSISTENCY, checked, ended, start_check
from tests.services.storage_element.test_disk_full import IN_OWN_MOUNTS, may_mount
from tests.services.storage_element.test_online_rebuild import REBUILD


@pytest.fixture
def catalog(tmp_path: Path) -> dict[str, str]:
    """A catalog outside the root."""
    return {"type": "sqlite", "path": str(tmp_path / "catalog.db")}


async def test_a_root_that_the_catalog_knows_and_that_is_empty_is_refused(
    start: StartElement, catalog: dict[str, str], tmp_path: Path
) -> None:
    async with start(catalog=catalog) as element:
        stored = await element.stored(b"data")
    (tmp_path / "storage").rename(tmp_path / "medium")
    (tmp_path / "storage").mkdir()

    with pytest.raises(ConfigurationError, match=r"has no element.json.*mount its medium") as refusal:
        async with start(catalog=catalog):
            pass

    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "storage" / "element.json").exists()
    shutil.rmtree(tmp_path / "storage")
    (tmp_path / "medium").rename(tmp_path / "storage")
    async with start(catalog=catalog) as element:
        assert await element.download(stored["file_id"]) == b"data"


async def test_a_root_whose_identity_was_removed_is_refused(start: StartElement) -> None:
    async with start() as element:
        await element.stored(b"data")
    (element.root / "element.json").unlink()

    with pytest.raises(ConfigurationError, match="restore that file"):
        async with start():
            pass


async def lost_identity(start: StartElement) -> tuple[Path, str]:
    """The root of an archive that lost everything but its files, and the id of one."""
    async with start(element={"mode": "rw"}) as element:
        stored = await element.stored(b"data")
    identity = element.root / "element.json"
    said = json.loads(identity.read_bytes())
    identity.write_text(json.dumps({**said, "mode": "ar"}))
    async with start():
        pass
    for name in ("element.json", "lease.json", "clock.json"):
        (element.root / name).unlink()
    await asyncio.to_thread(shutil.rmtree, element.root / ".artstore")
    return element.root, stored["file_id"]


@pytest.mark.parametrize("section", [{}, {"adopt_root": True}, {"mode": "ar"}])
async def test_a_root_of_which_only_the_files_are_left_is_not_taken_for_a_new_one(
    start: StartElement, section: dict[str, object]
) -> None:
    root, _ = await lost_identity(start)

    with pytest.raises(ConfigurationError, match=r"has files.*restore that file.*adopt_root") as refusal:
        async with start(element=section):
            pass

    assert "\n" not in str(refusal.value)
    assert not (root / "element.json").exists()


async def test_such_a_root_is_adopted_in_the_mode_that_is_said(start: StartElement) -> None:
    _, file_id = await lost_identity(start)

    async with start(element={"adopt_root": True, "mode": "ar"}) as element:
        adopted = await element.get("/api/v1/info")
        known = await element.file_ids()
        refused = await element.put(b"more")
    async with start() as element:
        mode = (await element.get("/api/v1/info"))["mode"]

    assert (adopted["mode"], mode) == ("ar", "ar")
    assert known == [file_id]
    assert (refused.status, refused.problem) == (409, "mode-not-allowed")


async def test_a_root_whose_making_was_interrupted_is_made(start: StartElement, tmp_path: Path) -> None:
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage" / "ARTSTORE.md").write_text("What this directory is")

    async with start() as element:
        assert (await element.put(b"data")).status == 201


async def test_a_root_that_is_required_is_not_made(start: StartElement) -> None:
    with pytest.raises(ConfigurationError, match="require_root"):
        async with start(element={"require_root": True}):
            pass

    async with start():
        pass
    async with start(element={"require_root": True}) as element:
        assert (await element.put(b"data")).status == 201


async def test_while_the_root_is_away_the_catalog_is_neither_rebuilt_nor_repaired(
    start: StartElement, catalog: dict[str, str], tmp_path: Path
) -> None:
    async with start(catalog=catalog) as element:
        stored = [(await element.stored(f"{n}".encode()))["file_id"] for n in range(3)]
        await element.placed_files()
        await checked(element)
        (tmp_path / "storage").rename(tmp_path / "medium")
        (tmp_path / "storage").mkdir()

        download = await element.request("GET", f"/api/v1/files/{stored[0]}/download")
        rebuild = await element.request("POST", REBUILD)
        await start_check(element)
        report = await ended(element)
        repair = await element.request(
            "POST", f"{CONSISTENCY}/repair", json={"dry_run": False, "kinds": ["lost_file"]}
        )
        known = await element.file_ids()
        shutil.rmtree(tmp_path / "storage")
        (tmp_path / "medium").rename(tmp_path / "storage")

        assert (download.status, rebuild.status, repair.status) == (503, 503, 503)
        assert "still mounted" in rebuild.json()["detail"]
        assert (report["state"], report["totals"]) == ("failed", {})
        assert known == stored
        assert await element.download(stored[0]) == b"0"


def run_element(data: Path, *launcher: str) -> "subprocess.CompletedProcess[str]":
    """``artstore run element`` that cannot start."""
    command = [*launcher, artstore(), "run", "element", "--config", str(data / "artstore.toml")]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("options", "section", "told"),
    [
        ("-o ro", {}, "Read-only file system"),
        ("-o size=6m", {"require_root": True}, "mount its medium"),
    ],
    ids=["read-only", "empty mount point"],
)
async def test_a_medium_that_is_not_as_it_should_be_is_told_in_one_line(
    start: StartElement, tmp_path: Path, options: str, section: dict[str, bool], told: str
) -> None:
    if not may_mount():
        pytest.skip("this machine allows no mounts in user namespaces")
    async with start():
        pass
    lines = [f"{name} = {json.dumps(value)}" for name, value in section.items()]
    (tmp_path / "artstore.toml").write_text("\n".join(["[element]", *lines]))
    mount = f'mount -t tmpfs {options} none {tmp_path / "storage"} && exec "$@"'

    completed = await asyncio.to_thread(run_element, tmp_path, *IN_OWN_MOUNTS, mount, "sh")

    assert completed.returncode == 2
    assert told in completed.stderr.splitlines()[-1]
    assert "Traceback" not in completed.stderr
