"""A root that becomes read-only under a running element, and one whose permissions are taken away: until it
is healed nothing is changed, what is there is read, and nothing that was acknowledged is lost.
"""

import asyncio
import os
import subprocess
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from artstore.core.testing import IssuerServer
from tests.environments import missing
from tests.services.admin.harness import eventually
from tests.services.storage_element.harness import TEMPORARY, Answer, ElementClient
from tests.services.storage_element.processes import ElementProcess, element_process
from tests.services.storage_element.sweeps import LOGS
from tests.services.storage_element.test_disk_full import IN_OWN_MOUNTS, may_mount

LARGE: Final = bytes(300_000)
NOBODY_SPECIAL: Final = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
"""Launches a process for which permissions count, whoever starts it."""

PATIENCE: Final = 30.0


def bind_read_only(process: ElementProcess) -> Callable[[], None]:
    """Make the root read-only for the process, by whatever path it comes; what undoes that."""
    root = process.client.root
    inside = ("nsenter", "--target", str(process.pid), "--user", "--mount", "--preserve-credentials")

    def run(*command: str) -> None:
        subprocess.run([*inside, *command], check=True)

    run("mount", "--bind", str(root), str(root))
    run("mount", "-o", "remount,bind,ro", str(root))
    return lambda: run("umount", str(root))


def forbid(process: ElementProcess) -> Callable[[], None]:
    """Take the permission to write from every directory of the root; what gives it back."""
    root = process.client.root
    directories = [root, *(path for path in root.rglob("*") if path.is_dir())]

    def permit(mode: int) -> None:
        for directory in directories:
            directory.chmod(mode)

    permit(0o550)
    return lambda: permit(0o750)


Injure = Callable[[ElementProcess], Callable[[], None]]
WAYS: Final[dict[str, tuple[Injure, tuple[str, ...], str]]] = {
    "read-only": (bind_read_only, (*IN_OWN_MOUNTS, 'exec "$@"', "sh"), "Read-only file system"),
    "forbidden": (forbid, NOBODY_SPECIAL, "Permission denied"),
}


@asynccontextmanager
async def injured(process: ElementProcess, injure: Injure) -> AsyncGenerator[None, None]:
    heal = await asyncio.to_thread(injure, process)
    try:
        yield
    finally:
        await asyncio.to_thread(heal)


async def until(element: ElementClient, status: str) -> dict[str, Any]:
    """The readiness, as soon as it is ``status``."""

    async def found() -> dict[str, Any] | None:
        ready: dict[str, Any] = await element.get("/health/ready")
        return ready if ready["status"] == status else None

    ready = await eventually(found, patience=PATIENCE)
    assert ready is not None, "as it was waited for"
    return ready


async def taken(element: ElementClient, content: bytes) -> str:
    """The id of a small file, as soon as one is stored."""

    async def stored() -> str | None:
        answer = await element.put(content)
        assert answer.status in (201, 503, 507), answer
        return file_id_of(answer) if answer.status == 201 else None

    file_id = await eventually(stored, patience=PATIENCE)
    assert file_id is not None, "as it was waited for"
    return file_id


@pytest.mark.parametrize(
    ("way", "log"), [("read-only", "log"), ("read-only", "no log"), ("forbidden", "log")]
)
async def test_a_root_that_cannot_be_written_is_read_and_works_again_when_it_is_healed(
    issuer: IssuerServer, tmp_path: Path, way: str, log: str
) -> None:
    if not may_mount():
        missing("this machine allows no mounts in user namespaces")
    injure, launcher, reason = WAYS[way]
    storage = {"type": "local", "root": "storage", "commit_log_size": LOGS[log]}
    async with element_process(
        tmp_path, issuer.jwks_url, launcher=launcher, element={"lease_ttl": 3}, storage=storage
    ) as process:
        element = process.client
        known = {
            (await element.stored(content, **TEMPORARY))["file_id"]: content for content in (b"a", LARGE)
        }
        await element.placed_files()

        async with injured(process, injure):
            large = await element.put(LARGE)
            small = [await element.put(b"small") for _ in range(3)]
            degraded = await until(element, "degraded")
            read = [await element.download(file_id) for file_id in known]

        again = await taken(element, b"again")
        await until(element, "ok")
        known |= {file_id_of(each): b"small" for each in small if each.status == 201}
        known |= {again: b"again", (await element.stored(LARGE))["file_id"]: LARGE}

        assert (large.status, small[-1].status) == (503, 507 if small[0].status == 201 else 503)
        assert reason in large.json()["detail"]
        assert reason in degraded["checks"]["writing"]["detail"]
        assert read == [b"a", LARGE]
        assert sorted(await element.file_ids()) == sorted(known)
        for file_id, content in known.items():
            assert await element.download(file_id) == content
        assert len(await element.placed_files()) == 2 * len(known)
        assert element.staged_files() == []
        await element.wait_for_metric("artstore_element_wal_pending", 0)


def file_id_of(answer: Answer) -> str:
    return str(answer.json()["attributes"]["file_id"])


async def test_files_that_may_not_be_read_are_told_and_given_out_when_they_may(
    issuer: IssuerServer, tmp_path: Path
) -> None:
    if not may_mount():
        missing("this machine allows no user namespaces")
    async with element_process(tmp_path, issuer.jwks_url, launcher=NOBODY_SPECIAL) as process:
        element = process.client
        file_id = (await element.stored(LARGE))["file_id"]
        hour = (await element.placed_files())[0].parent

        os.chmod(hour, 0)
        refused = await element.request("GET", f"/api/v1/files/{file_id}/download")
        os.chmod(hour, 0o750)

        assert (refused.status, refused.problem) == (503, "unavailable")
        assert await element.download(file_id) == LARGE
