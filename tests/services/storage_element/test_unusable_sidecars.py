"""A sidecar that cannot be used: its file is out of sight, and its id is not given again."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from artstore.core.ids import new_file_id
from tests.services.storage_element.harness import TEMPORARY, ElementClient, StartElement, lose_catalog
from tests.services.storage_element.test_bad_days import DAMAGES, FILE_ID, URL, Damage, two_files
from tests.services.storage_element.test_consistency import checked, repaired
from tests.services.storage_element.test_online_rebuild import rebuilt


@pytest.mark.parametrize("damage", DAMAGES)
async def test_the_id_is_not_given_again(start: StartElement, damage: Damage) -> None:
    async with start() as element:
        _, sidecar, other = await two_files(element)
        damage(sidecar, other)
        await rebuilt(element)
        first = await element.put(b"other content", file_id=FILE_ID)

    async with start() as element:
        second = await element.put(b"other content", file_id=FILE_ID)

        assert [(each.status, each.problem) for each in (first, second)] == [(409, "already-exists")] * 2
        assert sidecar.name in second.json()["detail"]


async def test_it_is_not_given_again_either_when_the_catalog_was_lost(
    start: StartElement, tmp_path: Path
) -> None:
    async with start() as element:
        _, sidecar, _ = await two_files(element)
    sidecar.write_bytes(b"")
    lose_catalog(tmp_path)

    async with start() as element:
        assert (await element.put(b"other content", file_id=FILE_ID)).problem == "already-exists"


@pytest.fixture
async def element(start: StartElement) -> AsyncGenerator[ElementClient, None]:
    """After a rebuild that could not use the sidecar of one of two files."""
    async with start() as element:
        _, sidecar, _ = await two_files(element)
        sidecar.rename(sidecar.with_name("copy"))
        sidecar.write_bytes(b"")
        await rebuilt(element)
        yield element


def sidecar_of(element: ElementClient) -> Path:
    return next(path for path in element.data_files() if path.name.endswith(f"{FILE_ID}.bin.attr.json"))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", URL),
        ("GET", f"{URL}/download"),
        ("PATCH", URL),
        ("DELETE", URL),
        ("GET", f"{URL}/holds"),
        ("POST", f"{URL}/holds"),
    ],
)
async def test_whoever_asks_for_the_file_is_told(element: ElementClient, method: str, path: str) -> None:
    body = {"PATCH": {"description": "x"}, "POST": {"id": "x", "reason": "y"}}.get(method)

    answer = await element.request(method, path, json=body)

    assert (answer.status, answer.problem) == (500, "corrupted")
    assert sidecar_of(element).name in answer.json()["detail"]


async def test_when_the_sidecar_is_restored_the_file_is_back(element: ElementClient) -> None:
    sidecar = sidecar_of(element)
    sidecar.with_name("copy").replace(sidecar)
    await checked(element)
    await repaired(element, "missing_row")

    again = await element.put(b"data", file_id=FILE_ID, **TEMPORARY)
    deleted = await element.request("DELETE", URL)

    assert (again.status, deleted.status) == (200, 200)
    await element.placed_files()
    assert json.loads(sidecar.read_bytes())["status"] == "deleted"


async def test_when_the_sidecar_is_removed_the_id_is_free(element: ElementClient) -> None:
    sidecar_of(element).unlink()

    assert (await element.put(b"other content", file_id=FILE_ID)).status == 201
    assert await element.download(str(FILE_ID)) == b"other content"


async def test_data_without_a_sidecar_do_not_keep_their_id(element: ElementClient) -> None:
    data = next(path for path in element.data_files() if path.name.endswith(".bin"))
    orphan = new_file_id()
    stem, _, _ = data.name.rpartition("_")
    data.with_name(f"{stem}_{orphan}.bin").write_bytes(b"what a power cut left")
    await rebuilt(element)

    assert (await element.put(b"again", file_id=orphan)).status == 201
