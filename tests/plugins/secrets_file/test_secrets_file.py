"""Secrets in files prove their contract, and stay closed to others."""

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from artstore.core.spec import (
    ContentTooLargeError,
    ForbiddenError,
    InsufficientStorageError,
    SecretProvider,
    UnavailableError,
)
from artstore.core.testing import PutSecret, SecretWriterContract, plugin_context
from artstore.plugins.secrets_file.backend import FileSecrets
from artstore.plugins.secrets_file.files import LARGEST_SECRET
from artstore.plugins.secrets_file.plugin import FileConfig, artstore_secret_providers


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "secrets"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def secrets(directory: Path) -> FileSecrets:
    return FileSecrets(directory)


def write(path: Path, value: bytes = b"swordfish", *, mode: int = 0o600) -> Path:
    path.write_bytes(value)
    path.chmod(mode)
    return path


class TestFileSecrets(SecretWriterContract):
    @pytest.fixture
    def secrets(self, directory: Path) -> SecretProvider:
        return FileSecrets(directory)

    @pytest.fixture
    def put_secret(self, directory: Path) -> PutSecret:
        async def put(name: str, value: bytes) -> None:
            await asyncio.to_thread(write, directory / name, value)

        return put


class TestPermissions:
    @pytest.mark.parametrize("mode", [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o440])
    async def test_a_file_open_to_others_is_refused_with_the_remedy(
        self, secrets: FileSecrets, directory: Path, mode: int
    ) -> None:
        path = write(directory / "pepper", mode=mode)

        with pytest.raises(ForbiddenError) as refusal:
            await secrets.get("pepper")

        assert f"chmod 600 {path}" in refusal.value.detail

    @pytest.mark.parametrize("mode", [0o770, 0o720, 0o702, 0o777, 0o1777])
    async def test_a_directory_where_others_can_write_is_refused_with_the_remedy(
        self, secrets: FileSecrets, directory: Path, mode: int
    ) -> None:
        write(directory / "pepper")
        os.chmod(directory, mode)

        with pytest.raises(ForbiddenError) as refusal:
            await secrets.get("pepper")

        assert f"chmod 700 {directory}" in refusal.value.detail

    async def test_nothing_is_written_where_others_can_write(
        self, secrets: FileSecrets, directory: Path
    ) -> None:
        os.chmod(directory, 0o777)

        with pytest.raises(ForbiddenError):
            await secrets.create("pepper", b"swordfish")

        assert os.listdir(directory) == []

    @pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
    async def test_a_file_closed_to_others_is_read(
        self, secrets: FileSecrets, directory: Path, mode: int
    ) -> None:
        write(directory / "pepper", mode=mode)

        assert await secrets.get("pepper") is not None

    async def test_a_directory_that_others_can_only_read_is_fine(
        self, secrets: FileSecrets, directory: Path
    ) -> None:
        write(directory / "pepper")
        os.chmod(directory, 0o755)

        assert await secrets.get("pepper") is not None

    async def test_what_is_written_is_closed_to_others_whatever_the_umask(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "secrets" / "pepper"
        before = os.umask(0)

        try:
            await FileSecrets(path.parent).create("pepper", b"swordfish")
        finally:
            os.umask(before)

        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    async def test_a_replaced_secret_is_closed_to_others(self, secrets: FileSecrets, directory: Path) -> None:
        path = write(directory / "pepper", mode=0o644)

        await secrets.replace("pepper", b"new")

        assert stat.S_IMODE(path.stat().st_mode) == 0o600


class TestLinks:
    async def test_a_link_gives_the_secret_it_points_to(
        self, secrets: FileSecrets, directory: Path, tmp_path: Path
    ) -> None:
        target = write(tmp_path / "mounted")
        (directory / "pepper").symlink_to(target)

        found = await secrets.get("pepper")

        assert found is not None
        assert found.value == b"swordfish"

    async def test_a_link_to_a_file_open_to_others_is_refused(
        self, secrets: FileSecrets, directory: Path, tmp_path: Path
    ) -> None:
        target = write(tmp_path / "mounted", mode=0o644)
        (directory / "pepper").symlink_to(target)

        with pytest.raises(ForbiddenError):
            await secrets.get("pepper")

    async def test_a_link_to_nothing_is_no_secret(self, secrets: FileSecrets, directory: Path) -> None:
        (directory / "pepper").symlink_to(directory / "missing")

        assert await secrets.get("pepper") is None

    async def test_a_link_to_itself_is_an_error_and_not_an_absent_secret(
        self, secrets: FileSecrets, directory: Path
    ) -> None:
        (directory / "pepper").symlink_to("pepper")

        with pytest.raises(UnavailableError):
            await secrets.get("pepper")

    async def test_creating_does_not_write_through_a_link(
        self, secrets: FileSecrets, directory: Path, tmp_path: Path
    ) -> None:
        target = write(tmp_path / "elsewhere", b"untouched")
        (directory / "pepper").symlink_to(target)

        await secrets.replace("pepper", b"swordfish")

        assert target.read_bytes() == b"untouched"
        assert not (directory / "pepper").is_symlink()


class TestOddFiles:
    async def test_without_its_directory_there_are_no_secrets(self, tmp_path: Path) -> None:
        assert await FileSecrets(tmp_path / "missing").get("pepper") is None

    @pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["directory", "pipe"])
    async def test_what_is_no_regular_file_is_refused(
        self, secrets: FileSecrets, directory: Path, make: Callable[[Path], None]
    ) -> None:
        make(directory / "pepper")

        with pytest.raises(ForbiddenError, match="not a regular file"):
            await secrets.get("pepper")

    async def test_a_file_in_place_of_the_directory_is_an_error(self, tmp_path: Path) -> None:
        secrets = FileSecrets(write(tmp_path / "file"))

        with pytest.raises(UnavailableError):
            await secrets.get("pepper")
        with pytest.raises(UnavailableError):
            await secrets.create("pepper", b"swordfish")

    async def test_a_secret_of_the_largest_size_is_kept(self, secrets: FileSecrets) -> None:
        largest = b"x" * LARGEST_SECRET

        await secrets.create("pepper", largest)

        found = await secrets.get("pepper")
        assert found is not None
        assert found.value == largest

    async def test_a_larger_secret_is_not_kept(self, secrets: FileSecrets, directory: Path) -> None:
        with pytest.raises(ContentTooLargeError):
            await secrets.create("pepper", b"x" * (LARGEST_SECRET + 1))

        assert os.listdir(directory) == []

    async def test_a_larger_file_is_refused(self, secrets: FileSecrets, directory: Path) -> None:
        write(directory / "pepper", b"x" * (LARGEST_SECRET + 1))

        with pytest.raises(ContentTooLargeError):
            await secrets.get("pepper")

    async def test_an_edited_file_is_another_version(self, secrets: FileSecrets, directory: Path) -> None:
        path = write(directory / "pepper", b"first")
        first = await secrets.get("pepper")

        path.write_bytes(b"other")
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
        second = await secrets.get("pepper")

        assert first is not None
        assert second is not None
        assert second.version != first.version

    async def test_a_replaced_file_is_another_version_even_with_the_old_ones_time(
        self, secrets: FileSecrets, directory: Path
    ) -> None:
        first = await secrets.create("pepper", b"first")
        time = os.stat(directory / "pepper").st_mtime_ns

        await secrets.replace("pepper", b"other")
        os.utime(directory / "pepper", ns=(time, time))
        second = await secrets.get("pepper")

        assert second is not None
        assert second.version != first.version


class TestWriting:
    async def test_nothing_but_the_secret_is_left_behind(self, secrets: FileSecrets, directory: Path) -> None:
        await secrets.create("pepper", b"first")
        await secrets.replace("pepper", b"second")

        assert os.listdir(directory) == ["pepper"]

    async def test_file_and_directory_are_synced_before_it_returns(
        self, secrets: FileSecrets, directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[tuple[int, list[str]]] = []
        fsync = os.fsync

        def recording_fsync(descriptor: int) -> None:
            synced.append((os.fstat(descriptor).st_ino, sorted(os.listdir(directory))))
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", recording_fsync)

        await secrets.create("pepper", b"swordfish")

        (file, before), (parent, after) = synced
        assert file == (directory / "pepper").stat().st_ino
        assert "pepper" not in before
        assert parent == os.stat(directory).st_ino
        assert after == ["pepper"]

    @pytest.mark.parametrize(
        ("number", "expected"),
        [
            (errno.ENOSPC, InsufficientStorageError),
            (errno.EDQUOT, InsufficientStorageError),
            (errno.EIO, UnavailableError),
        ],
    )
    async def test_a_failed_replacement_leaves_the_old_secret(
        self,
        secrets: FileSecrets,
        directory: Path,
        monkeypatch: pytest.MonkeyPatch,
        number: int,
        expected: type[Exception],
    ) -> None:
        old = await secrets.create("pepper", b"old")

        def failing_fsync(descriptor: int) -> None:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", failing_fsync)
            with pytest.raises(expected):
                await secrets.replace("pepper", b"new")

        assert await secrets.get("pepper") == old
        assert os.listdir(directory) == ["pepper"]

    async def test_no_error_contains_the_secret(
        self, secrets: FileSecrets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def failing_fsync(descriptor: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "fsync", failing_fsync)

        with pytest.raises(UnavailableError) as failure:
            await secrets.create("pepper", b"swordfish")

        assert "swordfish" not in f"{failure.value!r} {failure.value.__cause__!r}"


async def test_it_is_opened_on_the_configured_directory(directory: Path) -> None:
    [provider] = artstore_secret_providers()
    write(directory / "pepper", b"swordfish\n")

    async with provider.open(FileConfig(directory=directory), plugin_context("secrets_file")) as secrets:
        found = await secrets.get("pepper")

    assert (provider.name, provider.spec) == ("file", 1)
    assert found is not None
    assert found.text() == "swordfish"
    assert found.source == f"file {directory / 'pepper'}"
