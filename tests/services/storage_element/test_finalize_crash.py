"""A kill at each change of the disk while files become permanent, in place and by a copy."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
from aiohttp import ClientError

from artstore.core.testing import IssuerServer
from tests.services.storage_element.harness import ElementClient, sha256
from tests.services.storage_element.processes import element_process
from tests.services.storage_element.test_finalizing import CONTENT, copy_of, put_copy, taken

FINALIZATION: Final = "0b4f0f5e-6f3c-4f8e-9a51-5d1d6c1b7a10"
IN_PLACE: Final = UUID("01920000-0000-7000-8000-000000000001")
REMOVED: Final = UUID("01920000-0000-7000-8000-000000000002")
COPIED: Final = UUID("01920000-0000-7000-8000-000000000003")
CANCELLED: Final = UUID("01920000-0000-7000-8000-000000000004")


@dataclass
class Told:
    """What was asked for, and what of it was acknowledged, with the sidecar of then."""

    begun: set[str] = field(default_factory=set[str])
    done: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])


async def work(element: ElementClient, told: Told) -> None:
    """Every step that an element takes in finalizations, until it is gone."""

    async def take(name: str, file_id: UUID, step: str, **more: Any) -> dict[str, Any]:
        told.begun.add(name)
        told.done[name] = await taken(element, str(file_id), step, FINALIZATION, **more)
        return told.done[name]

    async def copy(name: str, sidecar: dict[str, Any], file_id: UUID) -> None:
        told.begun.add(name)
        answer = await put_copy(
            element, copy_of(sidecar, finalization=FINALIZATION, file_id=str(file_id), version=5)
        )
        assert answer.status == 201, answer
        told.done[name] = answer.json()["attributes"]

    told.begun.add("stored")
    first = await element.stored(CONTENT, file_id=IN_PLACE, retention_policy="temporary")
    told.done["stored"] = first
    await take("finished", IN_PLACE, "finish")
    await element.stored(CONTENT, file_id=REMOVED, retention_policy="temporary")
    marked = await take("marked", REMOVED, "begin")
    await copy("copied", first, COPIED)
    await take("copy finished", COPIED, "finish", version=9)
    await take("removed", REMOVED, "remove", version=marked["version"])
    await copy("to be cancelled", first, CANCELLED)
    await take("cancelled", CANCELLED, "cancel")


async def check(element: ElementClient, told: Told) -> None:
    """What was acknowledged holds; nothing is half done, and no file that was there is less than whole."""
    listed = {UUID(file_id) for file_id in await element.file_ids()}
    assert ("stored" not in told.done) or IN_PLACE in listed
    assert ("copied" not in told.done) or COPIED in listed
    assert ("marked" not in told.done) or "removed" in told.begun or REMOVED in listed
    assert ("removed" not in told.done) or REMOVED not in listed
    assert ("cancelled" not in told.done) or CANCELLED not in listed
    for file_id in listed:
        assert await element.download(str(file_id)) == CONTENT
        said = await element.get(f"/api/v1/files/{file_id}")
        assert said["retention"]["policy"] == "permanent" or said["retention"]["expires_at"]
    for name, file_id in (("finished", IN_PLACE), ("copy finished", COPIED)):
        if name in told.done:
            assert await element.get(f"/api/v1/files/{file_id}") == told.done[name]
    await _assert_tidy(element, listed)


async def _assert_tidy(element: ElementClient, listed: set[UUID]) -> None:
    data = [path for path in await element.placed_files() if not path.name.endswith(".attr.json")]
    assert len(data) == len(listed)
    assert {sha256(path.read_bytes()) for path in data} <= {sha256(CONTENT)}
    assert element.staged_files() == []
    assert await element.metric("artstore_element_wal_pending") == 0


async def killed_at(step: int, directory: Path, jwks_url: str, *, log_size: int) -> bool:
    """Kill an element on a new root at one step, then while it recovers; whether it lived to see it."""
    data, told = directory / str(step), Told()
    data.mkdir(parents=True)
    storage = {"type": "local", "root": "storage", "commit_log_size": log_size}
    is_killed = False
    try:
        async with element_process(data, jwks_url, die_at=step, storage=storage) as process:
            try:
                await work(process.client, told)
            except (ClientError, ConnectionError):
                is_killed = True
            else:
                is_killed = await process.stop() != 0
    except ProcessLookupError:
        is_killed = True
    if not is_killed:
        return False
    for again in (step % 5 + 1, 0):
        try:
            async with element_process(data, jwks_url, die_at=again, storage=storage) as process:
                if again == 0:
                    await check(process.client, told)
        except ProcessLookupError:
            assert again != 0
    return True


async def sweep(
    directory: Path, jwks_url: str, *, log_size: int, following: Callable[[int], int], first: int = 1
) -> int:
    """Kill at one step after the other until one comes that is never reached; how many were."""
    step, killed = first, 0
    while await killed_at(step, directory, jwks_url, log_size=log_size):
        killed += 1
        step = following(step)
    return killed


async def test_killed_at_some_changes_of_the_disk_a_finalization_loses_and_halves_nothing(
    issuer: IssuerServer, tmp_path: Path
) -> None:
    killed = await sweep(
        tmp_path, issuer.jwks_url, log_size=0, first=17, following=lambda step: 2 * step + 18
    )

    assert killed > 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("log_size", [16 * 1024 * 1024, 0], ids=["log", "no log"])
async def test_killed_at_every_change_of_the_disk_a_finalization_loses_and_halves_nothing(
    issuer: IssuerServer, tmp_path: Path, log_size: int
) -> None:
    killed = await sweep(tmp_path, issuer.jwks_url, log_size=log_size, following=lambda step: step + 1)

    print(f"killed at {killed} changes of the disk")
    assert killed > 40
