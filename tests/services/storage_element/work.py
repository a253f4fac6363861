"""Everything that changes an element, one after the other, and what must be true whatever came between."""

import json
from collections.abc import Awaitable, Callable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from tests.services.storage_element.harness import TEMPORARY, Answer, ElementClient, sha256

SMALL: Final = b"small" * 2000
LARGE: Final = b"large" * 60_000
FIRST: Final = UUID("01920000-0000-7000-8000-000000000001")
SECOND: Final = UUID("01920000-0000-7000-8000-000000000002")
THIRD: Final = UUID("01920000-0000-7000-8000-000000000003")
CONTENTS: Final = {FIRST: SMALL, SECOND: LARGE, THIRD: SMALL}

DONE: Final = frozenset({200, 201, 202})
REFUSED: Final = frozenset({503, 507})
FOLLOWS: Final = frozenset({404})
"""What is asked of a file that was refused before."""


@dataclass
class Told:
    """What an element was asked to do, and what of it was acknowledged before its misfortune."""

    begun: set[str] = field(default_factory=set[str])
    acknowledged: set[str] = field(default_factory=set[str])
    files_whole: int = 0

    def knows(self, step: str) -> bool | None:
        """Whether it was done; ``None`` when nobody can say."""
        return True if step in self.acknowledged else None if step in self.begun else False

    @property
    def files_acknowledged(self) -> int:
        return sum(step.startswith("put ") for step in self.acknowledged)


@dataclass(frozen=True)
class Course:
    """What an element is asked for, how that is checked, and with which settings of the element."""

    work: Callable[[ElementClient, Told], Awaitable[None]]
    check: Callable[[ElementClient, Told], Awaitable[list[Path]]]
    settings: Mapping[str, Any]


async def ask(element: ElementClient, told: Told, step: str, method: str, path: str, **more: Any) -> None:
    """Ask for something, which is done or refused for a reason."""
    told.begun.add(step)
    _note(told, step, await element.request(method, path, **more), refused=REFUSED | FOLLOWS)


async def put(element: ElementClient, told: Told, file_id: UUID) -> None:
    """The same of an upload."""
    step = f"put {file_id}"
    told.begun.add(step)
    _note(told, step, await element.put(CONTENTS[file_id], file_id=file_id, **TEMPORARY), refused=REFUSED)


def _note(told: Told, step: str, answer: Answer, *, refused: Set[int]) -> None:
    if answer.status in DONE:
        told.acknowledged.add(step)
    else:
        assert answer.status in refused, answer
        assert answer.json()["detail"]


async def work(element: ElementClient, told: Told) -> None:
    """Create small and large, change, build the catalog again, delete, create, collect: until it is gone."""
    await put(element, told, FIRST)
    await put(element, told, SECOND)
    for file_id in (FIRST, SECOND):
        url, change = f"/api/v1/files/{file_id}", {"description": "changed"}
        await ask(element, told, f"change {file_id}", "PATCH", url, json=change)
    await ask(element, told, "rebuild", "POST", "/api/v1/catalog/rebuild", json={})
    for file_id in (SECOND, FIRST):
        await ask(element, told, f"delete {file_id}", "DELETE", f"/api/v1/files/{file_id}")
    await put(element, told, THIRD)
    # Tombstones go at once here: two removals and a row, to be killed between.
    await ask(element, told, "collect", "POST", "/api/v1/gc", json={"dry_run": False})


async def check(element: ElementClient, told: Told) -> list[Path]:
    """What was acknowledged holds, and nothing is half done; data that is left over."""
    listed = {UUID(file_id) for file_id in await element.file_ids()}
    whole = 0
    for file_id, content in CONTENTS.items():
        stored, deleted = told.knows(f"put {file_id}"), told.knows(f"delete {file_id}")
        if file_id in listed:
            assert stored is not False, f"{file_id} was never stored"
            assert deleted is not True, f"{file_id} was deleted"
            assert await element.download(str(file_id)) == content
            said = await element.get(f"/api/v1/files/{file_id}")
            changed = told.knows(f"change {file_id}")
            assert changed is None or (said.get("description") == "changed") is changed
        else:
            assert stored is not True or deleted is not False, f"{file_id} was acknowledged and is gone"
        whole += stored is True
    assert element.staged_files() == []
    assert await element.metric("artstore_element_wal_pending") == 0
    left = data_left_over(await element.placed_files())
    told.files_whole = whole
    return left


def data_left_over(files: list[Path], *, of_deleted: bool = True) -> list[Path]:
    """Data that no active sidecar describes; whatever one describes must be there, whole.

    Without ``of_deleted``, what is kept to be undeleted is not left over.
    """
    sidecars = {path for path in files if path.name.endswith(".attr.json")}
    active = set[Path]()
    for sidecar in sidecars:
        said = json.loads(sidecar.read_bytes())
        data = sidecar.with_name(sidecar.name.removesuffix(".attr.json"))
        if said["status"] == "active":
            active.add(data)
            assert sha256(data.read_bytes()) == said["checksum"]
        elif not of_deleted:
            active.add(data)
    return sorted(set(files) - sidecars - active)


FILES: Final = Course(work, check, {"collection": {"interval": 0, "tombstone_retention": 0}})
"""Garbage is collected when ``work`` asks for it."""
