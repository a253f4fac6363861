"""The root: readable without us, and nobody else's."""

import asyncio
import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from artstore.core.spec import Capabilities, ConfigurationError
from tests.services.storage_element.faulty_storage import FaultyStorage
from tests.services.storage_element.harness import TEMPORARY, ElementClient, StartElement


def run(command: str, directory: Path) -> str:
    """What a command of the POSIX shell prints, both streams."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=directory,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.stdout


async def test_a_file_is_found_and_verified_with_ls_cat_and_sha256sum(element: ElementClient) -> None:
    stored = await element.stored("Годовой отчёт".encode(), name="Отчёт за 2026.txt")
    await element.placed_files()

    hour = stored["storage_path"]
    listed = await asyncio.to_thread(run, f"ls {hour}", element.root)
    sidecar = await asyncio.to_thread(run, f"cat {hour}/*.attr.json", element.root)
    data = await asyncio.to_thread(run, f"cat {hour}/*.txt", element.root)
    digest = await asyncio.to_thread(run, f"sha256sum {hour}/*.txt", element.root)

    assert "Отчёт за 2026" in listed
    assert json.loads(sidecar)["original_filename"] == "Отчёт за 2026.txt"
    assert data == "Годовой отчёт"
    assert digest.split()[0] == stored["checksum"]


async def test_the_root_says_how_to_verify_it_and_that_is_true(element: ElementClient) -> None:
    for number in range(3):
        await element.stored(f"file {number}".encode(), name=f"имя '{number}' $(x).txt")
    removed = await element.stored(b"removed", custom_attributes={"checksum": "0" * 64}, **TEMPORARY)
    await element.request("DELETE", f"/api/v1/files/{removed['file_id']}")
    proof = _commands(element.root / "ARTSTORE.md", after="Prove")

    files = await element.placed_files()
    intact = await asyncio.to_thread(run, proof, element.root)
    next(path for path in files if path.suffix == ".txt").write_bytes(b"altered")
    altered = await asyncio.to_thread(run, proof, element.root)

    assert intact == ""
    assert "FAILED" in altered


async def test_the_root_says_how_to_get_every_file_back_and_that_is_true(element: ElementClient) -> None:
    names = ["plain.txt", 'quoted "name".txt', "отчёт $(x) 'y' 😀.pdf", "  spaces  ", "-rf"]
    misleading = {"original_filename": "other", "file_id": "other"}
    stored = {
        name: await element.stored(name.encode(), name=name, custom_attributes=misleading) for name in names
    }
    removed = await element.stored(b"removed", **TEMPORARY)
    await element.request("DELETE", f"/api/v1/files/{removed['file_id']}")
    await element.placed_files()
    restore = _commands(element.root / "ARTSTORE.md", after="Get every file back")

    told = await asyncio.to_thread(run, restore, element.root)

    restored = element.root.parent / "restored"
    files = [path for path in restored.rglob("*") if path.is_file()]
    assert told == ""
    assert {str(path.relative_to(restored)): path.read_bytes() for path in files} == {
        f"{found['file_id']}/{name}": name.encode() for name, found in stored.items()
    }


async def test_the_root_says_how_to_find_a_file(element: ElementClient) -> None:
    await element.stored(b"data", name="found.txt", description="annual report")
    await element.stored(b"data", name="other.txt")
    await element.placed_files()
    command = _commands(element.root / "ARTSTORE.md", after="Find")

    found = await asyncio.to_thread(run, command, element.root)

    assert re.fullmatch(r"\./.*/found_.*\.txt\.attr\.json\n", found)


def _commands(guide: Path, *, after: str) -> str:
    """The indented lines under a heading."""
    _, _, section = guide.read_text().partition(f"## {after}")
    section = section.partition("\n## ")[0]
    return "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))


async def test_a_new_root_knows_whose_it_is(start: StartElement) -> None:
    async with start(element={"element_id": "se-07", "mode": "rw"}) as element:
        identity = json.loads((element.root / "element.json").read_bytes())

    assert (identity["element_id"], identity["mode"]) == ("se-07", "rw")
    assert [period["mode"] for period in identity["mode_history"]] == ["rw"]


async def test_the_root_knows_its_mode_and_not_the_configuration(start: StartElement) -> None:
    async with start(element={"mode": "rw"}):
        pass

    async with start(element={"mode": "edit"}) as element:
        info = await element.get("/api/v1/info")

    assert info["mode"] == "rw"


async def test_the_root_of_another_element_is_refused_in_one_line(start: StartElement) -> None:
    async with start(element={"element_id": "se-01"}):
        pass

    with pytest.raises(ConfigurationError, match="belongs to element se-01, not to se-02") as refusal:
        async with start(element={"element_id": "se-02"}):
            pass

    assert "\n" not in str(refusal.value)


def cut(identity: str) -> str:
    return identity[:-10]


def of_newer_format(identity: str) -> str:
    return identity.replace('"format_version": 1', '"format_version": 2')


@pytest.mark.parametrize(("change", "message"), [(cut, "damaged"), (of_newer_format, "newer release")])
async def test_an_identity_that_cannot_be_read_is_refused(
    start: StartElement, change: Callable[[str], str], message: str
) -> None:
    async with start() as element:
        identity = element.root / "element.json"
    identity.write_text(change(identity.read_text()))

    with pytest.raises(ConfigurationError, match=message):
        async with start():
            pass


async def test_the_catalog_of_another_element_is_refused(start: StartElement, tmp_path: Path) -> None:
    catalog = {"type": "sqlite", "path": str(tmp_path / "shared.db")}
    async with start(catalog=catalog):
        pass

    with pytest.raises(ConfigurationError, match="catalog belongs to element se-01"):
        async with start(
            catalog=catalog, element={"element_id": "se-02"}, storage={"type": "local", "root": "other"}
        ):
            pass


async def test_what_a_newer_release_says_of_the_root_is_kept(start: StartElement) -> None:
    async with start() as element:
        path = element.root / "element.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "signature": "of a later release"}))

    async with start():
        pass

    assert json.loads(path.read_text())["signature"] == "of a later release"


class NotAtomic(FaultyStorage):
    """A storage that cannot promise whole objects."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, atomic_put=False)


async def test_a_storage_that_may_keep_half_an_object_is_refused(start: StartElement) -> None:
    with pytest.raises(ConfigurationError, match="atomic_put"):
        async with start(wrap=NotAtomic):
            pass
