"""A kill at each change of the disk while the mode changes, and while that is recovered."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from aiohttp import ClientError

from artstore.core.testing import IssuerServer
from tests.services.storage_element.harness import ElementClient
from tests.services.storage_element.modes import confirm, validated
from tests.services.storage_element.processes import element_process

WRITE_ONCE = {"mode": "rw"}


async def change(element: ElementClient, acknowledged: list[str]) -> None:
    """From ``rw`` to ``ro`` and back."""
    for mode in ("ro", "rw"):
        answer = await confirm(element, await validated(element, mode), reopen=True)
        assert answer.status == 200, answer
        acknowledged.append(mode)


async def check(element: ElementClient, acknowledged: list[str]) -> None:
    """What was acknowledged is in the root and in the journal; of the rest, all or nothing."""
    kept = json.loads((element.root / "element.json").read_bytes())
    history = [period["mode"] for period in kept["mode_history"]][1:]
    journal = [entry["mode"] for entry in (await element.get("/api/v1/journal"))["items"]]
    said = await element.get("/api/v1/mode")
    stored = await element.put(b"data")

    assert history[: len(acknowledged)] == acknowledged
    assert len(history) - len(acknowledged) in (0, 1)
    assert journal == history
    assert said["mode"] == kept["mode"] == ["rw", *history][-1]
    assert "changing_to" not in said
    assert stored.status == (201 if kept["mode"] == "rw" else 409)
    assert await element.metric("artstore_element_wal_pending") == 0


async def killed_at(step: int, data: Path, jwks_url: str) -> bool:
    """Whether the element came to ``step``; it is killed there, and once more while it recovers."""
    acknowledged: list[str] = []
    is_killed = False
    try:
        async with element_process(data, jwks_url, die_at=step) as process:
            try:
                await change(process.client, acknowledged)
            except (ClientError, ConnectionError):
                is_killed = True
            else:
                is_killed = await process.stop() != 0
    except ProcessLookupError:
        is_killed = True
    for again in (step % 5 + 1, 0):
        try:
            async with element_process(data, jwks_url, die_at=again) as process:
                if again == 0:
                    await check(process.client, acknowledged)
        except ProcessLookupError:
            assert again != 0
    return is_killed


@pytest.fixture
async def served_before(issuer: IssuerServer, tmp_path: Path) -> Path:
    """A root that has been served: what is swept is the change, not the first start."""
    async with element_process(tmp_path / "0", issuer.jwks_url, element=WRITE_ONCE) as process:
        await process.stop()
    return tmp_path / "0"


async def sweep(root: Path, jwks_url: str, *, every: int) -> int:
    """How many steps came until one did not."""
    step, killed = every, 0
    while await killed_at(step, await asyncio.to_thread(copy, root, str(step)), jwks_url):
        killed += 1
        step += every
    return killed


def copy(root: Path, name: str) -> Path:
    return Path(shutil.copytree(root, root.with_name(name)))


async def test_killed_at_some_changes_of_the_disk_the_mode_is_the_old_or_the_new(
    issuer: IssuerServer, served_before: Path
) -> None:
    assert await sweep(served_before, issuer.jwks_url, every=11) > 1


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_killed_at_every_change_of_the_disk_the_mode_is_the_old_or_the_new(
    issuer: IssuerServer, served_before: Path
) -> None:
    killed = await sweep(served_before, issuer.jwks_url, every=1)

    print(f"killed at {killed} changes of the disk")
    assert killed > 15
