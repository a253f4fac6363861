"""A kill at each change of the disk in turn: creating, changing, deleting and recovering, in one process."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest
from aiohttp import ClientError

from artstore.core.testing import IssuerServer
from tests.services.storage_element.harness import TEMPORARY, ElementClient, sha256
from tests.services.storage_element.processes import element_process

SMALL: Final = b"small" * 2000
LARGE: Final = b"large" * 60_000
FIRST: Final = UUID("01920000-0000-7000-8000-000000000001")
SECOND: Final = UUID("01920000-0000-7000-8000-000000000002")
THIRD: Final = UUID("01920000-0000-7000-8000-000000000003")
CONTENTS: Final = {FIRST: SMALL, SECOND: LARGE, THIRD: SMALL}
DESCRIPTIONS: Final[Mapping[bool | None, frozenset[str | None]]] = {
    True: frozenset({"changed"}),
    False: frozenset({None}),
    None: frozenset({"changed", None}),
}
SETTINGS: Final = {"collection": {"interval": 0, "tombstone_retention": 0}}
MODES: Final = {"log": 16 * 1024 * 1024, "no log": 0}


@dataclass
class Told:
    """What an element was asked to do, and what of it was acknowledged before it was killed."""

    begun: set[str] = field(default_factory=set[str])
    acknowledged: set[str] = field(default_factory=set[str])

    def knows(self, step: str) -> bool | None:
        """Whether it was done; ``None`` when nobody can say."""
        return True if step in self.acknowledged else None if step in self.begun else False


async def work(element: ElementClient, told: Told) -> None:
    """Everything that changes an element, one after the other, until it is gone."""

    async def ask(step: str, method: str, path: str, *, json: object = None) -> None:
        told.begun.add(step)
        answer = await element.request(method, path, json=json)
        assert answer.status in (200, 201), answer
        told.acknowledged.add(step)

    async def put(file_id: UUID) -> None:
        told.begun.add(f"put {file_id}")
        answer = await element.put(CONTENTS[file_id], file_id=file_id, **TEMPORARY)
        assert answer.status in (200, 201), answer
        told.acknowledged.add(f"put {file_id}")

    await put(FIRST)
    await put(SECOND)
    for file_id in (FIRST, SECOND):
        await ask(f"change {file_id}", "PATCH", f"/api/v1/files/{file_id}", json={"description": "changed"})
    for file_id in (SECOND, FIRST):
        await ask(f"delete {file_id}", "DELETE", f"/api/v1/files/{file_id}")
    await put(THIRD)
    # Tombstones go at once here: two removals and a row, to be killed between.
    await ask("collect", "POST", "/api/v1/gc", json={"dry_run": False})


async def check(element: ElementClient, told: Told) -> list[Path]:
    """What was acknowledged holds, and nothing is half done; data that is left over."""
    listed = {UUID(file_id) for file_id in await element.file_ids()}
    for file_id, content in CONTENTS.items():
        stored, deleted = told.knows(f"put {file_id}"), told.knows(f"delete {file_id}")
        if file_id in listed:
            assert stored is not False
            assert deleted is not True
            assert await element.download(str(file_id)) == content
            said = await element.get(f"/api/v1/files/{file_id}")
            changed = told.knows(f"change {file_id}")
            assert said.get("description") in DESCRIPTIONS[changed]
        else:
            assert stored is not True or deleted is not False
    assert element.staged_files() == []
    assert await element.metric("artstore_element_wal_pending") == 0
    return _data_left_over(await element.placed_files())


def _data_left_over(files: list[Path]) -> list[Path]:
    """Data that no active sidecar describes; whatever one describes must be there, whole."""
    sidecars = {path for path in files if path.name.endswith(".attr.json")}
    active = set[Path]()
    for sidecar in sidecars:
        said = json.loads(sidecar.read_bytes())
        data = sidecar.with_name(sidecar.name.removesuffix(".attr.json"))
        if said["status"] == "active":
            active.add(data)
            assert sha256(data.read_bytes()) == said["checksum"]
    return sorted(set(files) - sidecars - active)


@dataclass
class Sweep:
    """Kills an element at one step after the other, each time on a new root."""

    jwks_url: str
    directory: Path
    log_size: int
    loses_power: bool

    async def run(self, following: Callable[[int], int]) -> int:
        """Until a step comes that is never reached; how many were."""
        step, killed = 1, 0
        while await self._kill_at(step):
            killed += 1
            step = following(step)
        return killed

    async def _kill_at(self, step: int) -> bool:
        data, told = self.directory / str(step), Told()
        data.mkdir(parents=True)
        graveyard = self.directory / f"graveyard-{step}" if self.loses_power else None
        if graveyard is not None:
            graveyard.mkdir()
        is_killed = False
        storage = {"type": "local", "root": "storage", "commit_log_size": self.log_size}
        try:
            async with element_process(
                data, self.jwks_url, die_at=step, graveyard=graveyard, storage=storage, element=SETTINGS
            ) as process:
                try:
                    await work(process.client, told)
                except (ClientError, ConnectionError):
                    is_killed = True
                else:
                    is_killed = await process.stop() != 0
        except ProcessLookupError:
            is_killed = True
        if self.loses_power:
            # The catalog is written without waiting for the disk: it is not believed after a power cut.
            for path in (data / "storage" / ".artstore").glob("catalog.db*"):
                path.unlink()
        # Killed while it recovers, at a step that is different each time; then left in peace.
        for again in (step % 7 + 1, 0):
            try:
                async with element_process(
                    data, self.jwks_url, die_at=again, storage=storage, element=SETTINGS
                ) as process:
                    if again == 0:
                        left = await check(process.client, told)
                        # With the catalog went what it knew of large data on its way to its sidecar.
                        assert len(left) <= (1 if self.loses_power else 0)
            except ProcessLookupError:
                assert again != 0
        return is_killed


@pytest.fixture(params=MODES.values(), ids=list(MODES))
def log_size(request: pytest.FixtureRequest) -> int:
    size: int = request.param
    return size


@pytest.fixture(params=[False, True], ids=["killed", "without power"])
def sweep(request: pytest.FixtureRequest, log_size: int, issuer: IssuerServer, tmp_path: Path) -> Sweep:
    return Sweep(issuer.jwks_url, tmp_path, log_size=log_size, loses_power=request.param)


async def test_killed_at_some_changes_of_the_disk_an_element_keeps_its_promise(sweep: Sweep) -> None:
    assert await sweep.run(lambda step: 2 * step + 3) > 3


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_killed_at_every_change_of_the_disk_an_element_keeps_its_promise(sweep: Sweep) -> None:
    killed = await sweep.run(lambda step: step + 1)

    print(f"killed at {killed} changes of the disk")
    assert killed > 60
