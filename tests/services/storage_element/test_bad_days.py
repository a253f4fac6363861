"""Sidecars that are not what was written: nothing that was acknowledged is lost over them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from tests.services.storage_element.harness import TEMPORARY, ElementClient, StartElement, in_catalog

MIB: Final = 1024 * 1024
FILE_ID: Final = UUID("0197b2c4-0000-7000-8000-000000000001")
URL: Final = f"/api/v1/files/{FILE_ID}"
PENDING: Final = "UPDATE catalog_wal SET status = 'pending', completed_at = NULL WHERE operation = "

Damage = Callable[[Path, bytes], None]


def truncated(sidecar: Path, _: bytes) -> None:
    sidecar.write_bytes(sidecar.read_bytes()[:40])


def of_a_foreign_version(sidecar: Path, _: bytes) -> None:
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_bytes()), "schema_version": "9.0"}))


def of_another_file(sidecar: Path, other: bytes) -> None:
    sidecar.write_bytes(other)


def larger_than_any(sidecar: Path, _: bytes) -> None:
    sidecar.write_bytes(b" " * 2 * MIB + sidecar.read_bytes())


def missing(sidecar: Path, _: bytes) -> None:
    sidecar.unlink()


def a_directory(sidecar: Path, _: bytes) -> None:
    sidecar.unlink()
    sidecar.mkdir()


DAMAGES: Final = [truncated, of_a_foreign_version, of_another_file, larger_than_any]


async def two_files(element: ElementClient) -> tuple[dict[str, Any], Path, bytes]:
    """Another file; the sidecar of ours and that of the other."""
    other = await element.stored(b"other", **TEMPORARY)
    await element.stored(b"data", file_id=FILE_ID, **TEMPORARY)
    sidecars = [path for path in await element.placed_files() if path.name.endswith(".json")]
    ours = next(path for path in sidecars if str(FILE_ID) in path.name)
    return other, ours, next(path for path in sidecars if path != ours).read_bytes()


@pytest.mark.parametrize("damage", [*DAMAGES, missing])
async def test_a_file_whose_sidecar_is_damaged_is_read_and_a_change_puts_a_whole_one_in_its_place(
    element: ElementClient, damage: Damage
) -> None:
    _, sidecar, other = await two_files(element)
    damage(sidecar, other)

    content = await element.download(str(FILE_ID))
    changed = await element.request("PATCH", URL, json={"description": "changed"})

    assert content == b"data"
    assert changed.status == 200
    await element.placed_files()
    said = json.loads(sidecar.read_bytes())
    assert (said["file_id"], said["description"]) == (str(FILE_ID), "changed")


@pytest.mark.parametrize("damage", [*DAMAGES, missing])
async def test_a_file_whose_sidecar_is_damaged_can_be_deleted(element: ElementClient, damage: Damage) -> None:
    _, sidecar, other = await two_files(element)
    damage(sidecar, other)

    deleted = await element.request("DELETE", URL)

    assert deleted.status == 200
    await element.placed_files()
    assert json.loads(sidecar.read_bytes())["status"] == "deleted"


@pytest.mark.parametrize("operation", ["file_create", "file_update"])
@pytest.mark.parametrize("damage", DAMAGES)
async def test_recovery_touches_no_file_whose_sidecar_it_cannot_believe(
    start: StartElement, tmp_path: Path, damage: Damage, operation: str
) -> None:
    async with start() as element:
        other, sidecar, others = await two_files(element)
        await element.request("PATCH", URL, json={"description": "changed"})
        await element.placed_files()
    damage(sidecar, others)
    in_catalog(tmp_path, f"{PENDING}'{operation}' AND file_id = '{FILE_ID}'")

    async with start() as element:
        assert await element.download(str(FILE_ID)) == b"data"
        assert await element.download(other["file_id"]) == b"other"
        assert await element.get(f"/api/v1/files/{other['file_id']}") == other


async def test_recovery_removes_no_data_of_a_file_that_lost_its_sidecar_while_it_was_changed(
    start: StartElement, tmp_path: Path
) -> None:
    async with start() as element:
        _, sidecar, _ = await two_files(element)
        await element.request("PATCH", URL, json={"description": "changed"})
        await element.placed_files()
    sidecar.unlink()
    in_catalog(tmp_path, f"{PENDING}'file_update'")

    async with start() as element:
        assert await element.download(str(FILE_ID)) == b"data"


async def test_a_directory_in_place_of_a_sidecar_keeps_that_file_from_changing_and_no_other(
    element: ElementClient,
) -> None:
    _, sidecar, other = await two_files(element)
    a_directory(sidecar, other)

    changed = await element.request("PATCH", URL, json={"description": "changed"})
    deleted = await element.request("DELETE", URL)
    more = [await element.put(content) for content in (b"more", bytes(300_000))]

    assert (changed.status, deleted.status) == (409, 409)
    assert [each.status for each in more] == [201, 201]
    assert await element.download(str(FILE_ID)) == b"data"
    sidecar.rmdir()
    again = await element.request("PATCH", URL, json={"description": "changed"})
    assert again.status == 200
    await element.placed_files()
    assert json.loads(sidecar.read_bytes())["description"] == "changed"


async def test_a_directory_in_place_of_data_keeps_no_other_file_from_anything(element: ElementClient) -> None:
    _, sidecar, other = await two_files(element)
    data = sidecar.with_name(sidecar.name.removesuffix(".attr.json"))
    a_directory(data, other)

    download = await element.request("GET", f"{URL}/download")
    more = [await element.put(content) for content in (b"more", bytes(300_000))]
    deleted = await element.request("DELETE", URL)

    assert (download.status, download.problem) == (500, "corrupted")
    assert [each.status for each in more] == [201, 201]
    assert deleted.status == 200
    assert data.is_dir()
