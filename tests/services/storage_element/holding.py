"""Holds, changes of what is held, and files that are wanted back: asked for in turn, and checked."""

from pathlib import Path
from typing import Final
from uuid import UUID

from tests.services.storage_element.harness import ElementClient
from tests.services.storage_element.work import (
    CONTENTS,
    DONE,
    FIRST,
    SECOND,
    Course,
    Told,
    ask,
    data_left_over,
    put,
)

HOLD: Final = {"id": "case-1", "reason": "audit"}


async def work(element: ElementClient, told: Told) -> None:
    """Hold both, change them, try to delete them; release the first, delete it, and want it back."""
    for file_id in (FIRST, SECOND):
        await put(element, told, file_id)
        await ask(element, told, f"hold {file_id}", "POST", f"{_url(file_id)}/holds", json=HOLD)
        await ask(element, told, f"change {file_id}", "PATCH", _url(file_id), json={"description": "changed"})
    assert DONE.isdisjoint(await _try_to_delete(element, told))
    await ask(element, told, f"release {FIRST}", "DELETE", f"{_url(FIRST)}/holds/{HOLD['id']}")
    if f"release {FIRST}" in told.acknowledged:
        await ask(element, told, f"delete {FIRST}", "DELETE", _url(FIRST))
        await ask(element, told, f"undelete {FIRST}", "POST", f"{_url(FIRST)}/undelete")
    await ask(element, told, "collect", "POST", "/api/v1/gc", json={"dry_run": False})


async def check(element: ElementClient, told: Told) -> list[Path]:
    """What is held is there, whole, and stays; what was deleted can be had back. Data that is left over."""
    assert set(await _try_to_delete(element, told)) <= {409}
    listed = {UUID(file_id) for file_id in await element.file_ids()}
    for file_id in (FIRST, SECOND):
        if file_id not in listed:
            await _check_absent(element, told, file_id)
        else:
            await _check_listed(element, told, file_id)
    assert element.staged_files() == []
    assert await element.metric("artstore_element_wal_pending") == 0
    left = data_left_over(await element.placed_files(), of_deleted=False)
    told.files_whole = told.files_acknowledged
    return left


async def _try_to_delete(element: ElementClient, told: Told) -> list[int]:
    """How that of each file was answered which is held for sure."""
    held = [
        file_id
        for file_id in (FIRST, SECOND)
        if told.knows(f"hold {file_id}") and told.knows(f"release {file_id}") is False
    ]
    return [(await element.request("DELETE", _url(file_id))).status for file_id in held]


async def _check_listed(element: ElementClient, told: Told, file_id: UUID) -> None:
    assert told.knows(f"put {file_id}") is not False, f"{file_id} was never stored"
    gone = told.knows(f"delete {file_id}") and told.knows(f"undelete {file_id}") is False
    assert not gone, f"{file_id} was deleted"
    assert await element.download(str(file_id)) == CONTENTS[file_id]
    said = await element.get(_url(file_id))
    changed = told.knows(f"change {file_id}")
    assert changed is None or (said.get("description") == "changed") is changed
    placed, released = told.knows(f"hold {file_id}"), told.knows(f"release {file_id}")
    if placed is not None and released is not None:
        held = [hold["id"] for hold in said["retention"]["holds"]]
        assert held == ([HOLD["id"]] if placed and not released else [])


async def _check_absent(element: ElementClient, told: Told, file_id: UUID) -> None:
    stored, deleted = told.knows(f"put {file_id}"), told.knows(f"delete {file_id}")
    assert stored is not True or deleted is not False, f"{file_id} was acknowledged and is gone"
    assert told.knows(f"undelete {file_id}") is not True, f"{file_id} was undeleted and is gone"
    if deleted:
        answer = await element.request("POST", f"{_url(file_id)}/undelete")
        assert answer.status == 200, answer
        told.acknowledged.add(f"undelete {file_id}")
        assert await element.download(str(file_id)) == CONTENTS[file_id]


def _url(file_id: UUID) -> str:
    return f"/api/v1/files/{file_id}"


HOLDS: Final = Course(work, check, {"collection": {"interval": 0, "removal_delay": 1}})
"""The data of what was deleted stay for a day."""
