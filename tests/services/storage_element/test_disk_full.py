"""A disk that is full: uploads are refused, files can be read, and nothing half is left."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from artstore.core.testing import IssuerServer, body
from tests.services.storage_element.harness import NOTHING_KEPT_FREE, ElementClient
from tests.services.storage_element.processes import element_process

MIB = 1024 * 1024
IN_OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
WITH_SMALL_FILES = ("sh", "-c", 'ulimit -f 4096 && exec "$@"', "sh")
"""No file may have more than 2 MiB: more of it fails in the middle, as on a disk that is full."""


@pytest.fixture
def on_tiny_disk(tmp_path: Path) -> tuple[str, ...]:
    """Launches a process that sees a file system of 6 MiB in place of the root."""
    if not may_mount():
        pytest.skip("this machine allows no mounts in user namespaces")
    (tmp_path / "storage").mkdir()
    return (*IN_OWN_MOUNTS, f'mount -t tmpfs -o size=6m none {tmp_path / "storage"} && exec "$@"', "sh")


def may_mount() -> bool:
    command = [*IN_OWN_MOUNTS, "mount -t tmpfs none /mnt"]
    return (
        shutil.which("unshare") is not None
        and subprocess.run(command, check=False, capture_output=True).returncode == 0
    )


async def test_on_a_full_disk_uploads_are_refused_and_files_can_be_read(
    on_tiny_disk: tuple[str, ...], issuer: IssuerServer, tmp_path: Path
) -> None:
    async with element_process(
        tmp_path, issuer.jwks_url, launcher=on_tiny_disk, element=NOTHING_KEPT_FREE
    ) as process:
        element = seen_by(process.pid, process.client)
        stored = await element.stored(bytes(MIB))
        filler = element.root / "filler"
        await asyncio.to_thread(fill, filler)

        refused = await element.put(bytes(2 * MIB))
        again = await element.put(body(bytes(MIB), bytes(MIB)))

        assert (refused.status, again.status) == (507, 507)
        assert len(await element.placed_files()) == 2
        assert element.staged_files() == []
        assert await element.download(stored["file_id"]) == bytes(MIB)
        filler.unlink()
        assert (await element.put(bytes(2 * MIB))).status == 201


def seen_by(pid: int, client: ElementClient) -> ElementClient:
    """The same element, its root seen as its process sees it."""
    client.root = Path(f"/proc/{pid}/root{client.root}")
    return client


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass


async def test_a_disk_that_is_full_in_the_middle_of_a_file_leaves_nothing_of_it(
    issuer: IssuerServer, tmp_path: Path
) -> None:
    async with element_process(tmp_path, issuer.jwks_url, launcher=WITH_SMALL_FILES) as process:
        refused = await process.client.put(bytes(3 * MIB))
        of_unknown_length = await process.client.put(body(*[bytes(MIB)] * 3))

        assert (refused.status, of_unknown_length.status) == (507, 507)
        await process.client.assert_nothing_kept()
        assert (await process.client.put(bytes(MIB))).status == 201
