"""The root: readable without us, and nobody else's."""

import asyncio
import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from artstore.core.ids import new_file_id
from artstore.core.spec import Capabilities, ConfigurationError, UnavailableError
from tests.services.admin.harness import eventually
from tests.services.storage_element.faulty_storage import Faults, FaultyStorage
from tests.services.storage_element.harness import (
    TEMPORARY,
    ElementClient,
    StartElement,
    connection,
    upload_head,
)
from tests.services.storage_element.scrubbing import scrubbed

MIB: Final = 1024 * 1024


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


FORMAT: Final = Path(__file__).parents[3] / "docs" / "reference" / "on-disk-format.md"
NAMES: Final = re.compile(r"^( *)([\w.-]+)(/?)", re.MULTILINE)
HOUR: Final = re.compile(r"\d{4}/\d\d/\d\d/\d\d/[^/]+")


def documented() -> set[str]:
    """Everything that may lie in a root, as the page of the format lists it; of files, only their names."""
    _, listing, *_ = FORMAT.read_text().split("```")
    found = [(len(indent), name) for indent, name, _ in NAMES.findall(listing) if len(indent) in (0, 2)]
    working = found.index((0, ".artstore"))
    return {
        name if indent == 0 else f".artstore/{name}"
        for number, (indent, name) in enumerate(found)
        if name != ".artstore" and not name.isdecimal() and (indent == 0 or number > working)
    }


def found_in(root: Path) -> set[str]:
    """What lies in a root besides files and their sidecars in the directories of their hours."""
    names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    others = {name for name in names if not HOUR.fullmatch(name)}
    return {"/".join(name.split("/")[:2]) if name.startswith(".artstore/") else name for name in others}


def keeps_the_sample(key: str) -> Exception | None:
    """As if the process had been killed in the middle of a check."""
    return UnavailableError("killed") if key == "fixity-sample" else None


async def test_in_a_busy_root_lies_what_the_documentation_lists_and_nothing_else(
    start: StartElement, faults: Faults
) -> None:
    async with start(wrap=faults.wrap) as element, connection(element) as (_, writer):
        faults.storage.fault_on_delete = keeps_the_sample
        deleted = await element.stored(b"deleted", **TEMPORARY)
        await element.stored(bytes(300_000))
        await element.request("DELETE", f"/api/v1/files/{deleted['file_id']}")
        await scrubbed(element)
        for path in ("catalog/rebuild", "catalog/consistency", "gc"):
            answer = await element.request("POST", f"/api/v1/{path}", json={})
            assert answer.status in (200, 202), answer
        # An upload under way, of which a megabyte has been written.
        writer.write(upload_head(new_file_id(), content_length=8 * MIB) + bytes(3 * MIB))
        await writer.drain()
        await eventually(lambda: is_staged(element))

        busy = await asyncio.to_thread(found_in, element.root)
        guide = (element.root / "ARTSTORE.md").read_text()

    of_the_database = {".artstore/catalog.db-wal", ".artstore/catalog.db-shm"}
    of_the_log: set[str] = set() if faults.storage.capabilities.atomic_batch else {".artstore/log"}
    assert busy | of_the_log == documented() | of_the_database
    assert all(f"`{name}`" in guide for name in documented() - {"ARTSTORE.md"} if "/" not in name)


async def is_staged(element: ElementClient) -> bool:
    return bool(element.staged_files())


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
