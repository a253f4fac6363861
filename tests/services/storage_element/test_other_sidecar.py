"""A sidecar that is not the one the catalog knows: nothing takes its place unread."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from tests.services.storage_element.harness import TEMPORARY, Answer, ElementClient, StartElement
from tests.services.storage_element.test_consistency import checked, repaired
from tests.services.storage_element.test_finalizing import copy_of, put_copy
from tests.services.storage_element.test_retention import FILE_ID, HOLDS, URL

CONTENT: Final = b"content of the file"
HOLD: Final = {"id": "case-7", "reason": "court order"}
STEP: Final = {"finalization_id": str(uuid4())}


@pytest.fixture
async def element(start: StartElement) -> AsyncGenerator[ElementClient, None]:
    """With one file, that somebody held when its sidecar was restored from a backup."""
    async with start(element={"collection": {"removal_delay": 7}}) as element:
        await element.stored(CONTENT, file_id=FILE_ID, **TEMPORARY)
        await element.request("POST", HOLDS, json={"id": "known", "reason": "x"})
        yield element


async def held_by_hand(element: ElementClient) -> Path:
    """Write a hold into the sidecar, and nowhere else; where that is."""
    sidecar = (await element.placed_files())[-1]
    said = json.loads(sidecar.read_bytes())
    said["retention"]["holds"] = [{**HOLD, "placed_by": "somebody", "placed_at": said["created_at"]}]
    sidecar.write_text(json.dumps(said))
    return sidecar


async def delete(element: ElementClient) -> Answer:
    return await element.request("DELETE", URL)


async def change(element: ElementClient) -> Answer:
    return await element.request("PATCH", URL, json={"description": "changed"})


async def hold(element: ElementClient) -> Answer:
    return await element.request("POST", HOLDS, json={"id": "case-8", "reason": "another"})


async def release(element: ElementClient) -> Answer:
    return await element.request("DELETE", f"{HOLDS}/known")


async def begin_finalization(element: ElementClient) -> Answer:
    return await element.request("POST", f"{URL}/finalization", json={**STEP, "step": "begin"})


async def finish_finalization(element: ElementClient) -> Answer:
    return await element.request("POST", f"{URL}/finalization", json={**STEP, "step": "finish"})


async def send_again(element: ElementClient) -> Answer:
    return await element.put(CONTENT, file_id=FILE_ID, **TEMPORARY)


CHANGES: Final = [delete, change, hold, release, begin_finalization, finish_finalization, send_again]


@pytest.mark.parametrize("attempt", CHANGES)
async def test_nothing_takes_the_place_of_a_sidecar_that_the_catalog_does_not_know(
    element: ElementClient, attempt: Callable[[ElementClient], Awaitable[Answer]]
) -> None:
    sidecar = await held_by_hand(element)
    written = sidecar.read_bytes()

    refused = await attempt(element)

    assert (refused.status, refused.problem) == (409, "sidecar-differs")
    assert "artstore element check" in refused.json()["detail"]
    await element.placed_files()
    assert sidecar.read_bytes() == written
    assert await element.download(str(FILE_ID)) == CONTENT


async def test_a_tombstone_that_the_catalog_does_not_know_is_not_undone(element: ElementClient) -> None:
    await release(element)
    await delete(element)
    sidecar = await held_by_hand(element)

    refused = await element.request("POST", f"{URL}/undelete")

    assert (refused.status, refused.problem) == (409, "sidecar-differs")
    assert json.loads(sidecar.read_bytes())["retention"]["holds"][0]["id"] == "case-7"


async def test_a_copy_does_not_take_the_place_of_a_sidecar_that_the_catalog_does_not_know(
    element: ElementClient,
) -> None:
    elsewhere: dict[str, Any] = {**await element.get(URL), "file_id": str(uuid4())}
    copied = copy_of(elsewhere, finalization=STEP["finalization_id"])
    first = await put_copy(element, copied, CONTENT)
    sidecar = next(
        path
        for path in await element.placed_files()
        if path.name.endswith(f"{copied['file_id']}.bin.attr.json")
    )
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_bytes()), "tags": ["by hand"]}))

    refused = await put_copy(element, {**copied, "version": 9}, CONTENT)

    assert (first.status, refused.status, refused.problem) == (201, 409, "sidecar-differs")
    assert json.loads(sidecar.read_bytes())["tags"] == ["by hand"]


async def test_when_the_catalog_follows_the_sidecar_the_hold_it_brought_counts(
    element: ElementClient,
) -> None:
    await held_by_hand(element)
    await checked(element)
    await repaired(element, "outdated_row")

    refused = await delete(element)
    changed = await change(element)

    assert (refused.status, refused.problem) == (409, "retention-active")
    assert "case-7" in refused.json()["detail"]
    assert changed.status == 200
