"""Mounted secrets prove their contract, and what a kubelet does to its volumes is survived."""

import asyncio
import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from artstore.core.spec import ContentTooLargeError, ForbiddenError, SecretProvider, UnavailableError
from artstore.core.testing import PutSecret, SecretsContract, plugin_context
from artstore.plugins.secrets_k8s.backend import CURRENT, LARGEST_SECRET, MountedSecrets
from artstore.plugins.secrets_k8s.plugin import MountedConfig, artstore_secret_providers


class Volume:
    """A directory as the kubelet keeps it: versions, one link to the current, links to its files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._number = 0
        self._secrets: dict[str, bytes] = {}
        directory.mkdir()

    def put(self, secrets: Mapping[str, bytes], *, mode: int = 0o440) -> None:
        """Replace everything by a new version with ``secrets`` besides, and remove the old one."""
        self._secrets.update(secrets)
        self._number += 1
        version = f"..2026_11_25_{self._number}"
        (self.directory / version).mkdir()
        for name, value in self._secrets.items():
            path = self.directory / version / name
            path.write_bytes(value)
            path.chmod(mode)
        current = self.directory / CURRENT
        old = os.readlink(current) if current.is_symlink() else None
        (self.directory / "..data_tmp").symlink_to(version)
        (self.directory / "..data_tmp").rename(current)
        for name in self._secrets:
            link = self.directory / name
            if not link.is_symlink():
                link.symlink_to(Path(CURRENT) / name)
        if old is not None:
            shutil.rmtree(self.directory / old)


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path / "mounted")


@pytest.fixture
def secrets(volume: Volume) -> MountedSecrets:
    return MountedSecrets(volume.directory)


class TestMountedSecrets(SecretsContract):
    @pytest.fixture
    def secrets(self, volume: Volume) -> SecretProvider:
        return MountedSecrets(volume.directory)

    @pytest.fixture
    def put_secret(self, volume: Volume) -> PutSecret:
        async def put(name: str, value: bytes) -> None:
            await asyncio.to_thread(volume.put, {name: value})

        return put


async def test_a_new_version_is_found_without_a_restart(volume: Volume, secrets: MountedSecrets) -> None:
    volume.put({"pepper": b"old"})
    old = await secrets.get("pepper")
    volume.put({"pepper": b"new"})

    new = await secrets.get("pepper")

    assert old is not None
    assert new is not None
    assert (old.value, new.value) == (b"old", b"new")
    assert old.version != new.version


async def test_every_look_finds_a_whole_value_while_versions_follow_each_other(
    volume: Volume, secrets: MountedSecrets
) -> None:
    volume.put({"pepper": b"0" * 50_000})
    is_over = threading.Event()

    def keep_changing() -> None:
        number = 0
        while not is_over.wait(0.002):
            number += 1
            volume.put({"pepper": str(number % 10).encode() * 50_000})

    changing = asyncio.create_task(asyncio.to_thread(keep_changing))
    found = [await secrets.get("pepper") for _ in range(300)]
    is_over.set()
    await changing

    assert all(value is not None and len(set(value.value)) == 1 for value in found)
    assert len({value.version for value in found if value is not None}) > 1


async def test_a_volume_that_is_not_mounted_has_no_secrets(tmp_path: Path) -> None:
    assert await MountedSecrets(tmp_path / "nothing").get("pepper") is None


async def test_a_file_mounted_by_itself_is_found(volume: Volume, secrets: MountedSecrets) -> None:
    (volume.directory / "pepper").write_bytes(b"alone")
    (volume.directory / "pepper").chmod(0o400)

    found = await secrets.get("pepper")

    assert found is not None
    assert found.value == b"alone"


@pytest.mark.parametrize("mode", [0o460, 0o442, 0o666])
async def test_what_others_can_change_is_refused(volume: Volume, secrets: MountedSecrets, mode: int) -> None:
    volume.put({"pepper": b"swordfish"}, mode=mode)

    with pytest.raises(ForbiddenError, match="defaultMode"):
        await secrets.get("pepper")


async def test_what_is_no_file_or_too_large_is_refused(volume: Volume, secrets: MountedSecrets) -> None:
    volume.put({"large": b"x" * (LARGEST_SECRET + 1)})
    os.mkfifo(volume.directory / "..2026_11_25_1" / "pipe")

    with pytest.raises(ContentTooLargeError):
        await secrets.get("large")
    with pytest.raises(ForbiddenError, match="not a regular file"):
        await secrets.get("pipe")


async def test_a_folder_in_place_of_a_secret_costs_no_descriptors(
    volume: Volume, secrets: MountedSecrets
) -> None:
    volume.put({"pepper": b"swordfish"})
    (volume.directory / "..2026_11_25_1" / "folder").mkdir()
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(20):
        with pytest.raises(UnavailableError, match="directory"):
            await secrets.get("folder")

    assert len(os.listdir("/proc/self/fd")) < before + 20


async def test_a_volume_that_cannot_be_read_is_unavailable(volume: Volume, secrets: MountedSecrets) -> None:
    volume.put({"pepper": b"swordfish"})
    (volume.directory / CURRENT).unlink()
    (volume.directory / CURRENT).symlink_to(CURRENT)

    with pytest.raises(UnavailableError):
        await secrets.get("pepper")


async def test_it_is_opened_by_its_provider(volume: Volume) -> None:
    volume.put({"pepper": b"swordfish"})
    [provider] = artstore_secret_providers()

    async with provider.open(
        MountedConfig(directory=volume.directory), plugin_context("secrets_k8s")
    ) as opened:
        found = await opened.get("pepper")

    assert found is not None
    assert found.value == b"swordfish"
