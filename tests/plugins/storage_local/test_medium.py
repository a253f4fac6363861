"""What stands on a disk that fails: the truth, or an error, and no harm to what was there."""

import errno
import os
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from artstore.core.spec import InsufficientStorageError, StorageBackend, UnavailableError
from artstore.core.testing import UnreliableMediumContract, plugin_context
from artstore.plugins.storage_local.backend import open_storage
from artstore.plugins.storage_local.files import Files
from artstore.plugins.storage_local.plugin import SMALLEST_LOG
from artstore.plugins.storage_local.root import Root

SHORT = 50_000
WRITE, PREAD, PREADV = os.write, os.pread, os.preadv


class FailingDisk(Files):
    """Fails as it is told, by the name of the step or by what the system calls below do."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self._root = root
        self._calls = monkeypatch
        self._fault = ""

    def fail(self, fault: str) -> None:
        self._fault = fault
        if fault == "truncated":
            os.truncate(self._root / "key", 1_500_000)
        elif fault == "short writes":
            self._calls.setattr(os, "write", _write_short)
        elif fault == "short reads":
            self._calls.setattr(os, "pread", _read_short)
            self._calls.setattr(os, "preadv", _read_short_at_once)
        elif fault == "unreadable":
            self._calls.setattr(os, "pread", _unreadable)
            self._calls.setattr(os, "preadv", _unreadable)

    def heal(self) -> None:
        self._fault = ""
        self._calls.undo()

    def write(self, descriptor: int, data: bytes) -> None:
        if self._fault == "full in the middle":
            super().write(descriptor, data[: len(data) // 2])
        self._fail("full", "full in the middle", number=errno.ENOSPC)
        self._fail("write", number=errno.EIO)
        super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self._fail("sync", number=errno.EIO)
        super().sync(descriptor)

    def sync_directory(self, path: str) -> None:
        self._fail("sync of the directory", number=errno.EIO)
        super().sync_directory(path)

    def rename(self, source: str, target: str) -> None:
        self._fail("rename", number=errno.EROFS)
        super().rename(source, target)

    def _fail(self, *faults: str, number: int) -> None:
        if self._fault in faults:
            raise OSError(number, os.strerror(number))


def _write_short(file: int, data: bytes | memoryview) -> int:
    return WRITE(file, memoryview(data)[:SHORT])


def _read_short(file: int, length: int, offset: int) -> bytes:
    return PREAD(file, min(length, SHORT), offset)


def _read_short_at_once(file: int, buffers: Sequence[memoryview], offset: int, flags: int) -> int:
    return PREADV(file, [buffers[0][:SHORT]], offset, flags)


def _unreadable(*_: object) -> int:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("log_size", [0, SMALLEST_LOG], ids=["plain", "log"])
class TestLocalStorageOnAFailingDisk(UnreliableMediumContract):
    put_faults = {  # noqa: RUF012 - a declaration
        "full": InsufficientStorageError,
        "full in the middle": InsufficientStorageError,
        "write": UnavailableError,
        "sync": UnavailableError,
        "sync of the directory": UnavailableError,
        "rename": UnavailableError,
        "short writes": None,
    }
    get_faults = ("short reads", "unreadable")
    reading_faults = ("truncated", "short reads", "unreadable")

    @pytest.fixture
    def medium(self, tmp_path: Path) -> FailingDisk:
        return FailingDisk(tmp_path / "root", pytest.MonkeyPatch())

    @pytest.fixture
    async def storage(
        self, tmp_path: Path, medium: FailingDisk, log_size: int
    ) -> AsyncGenerator[StorageBackend, None]:
        root = Root(tmp_path / "root", medium)
        context = plugin_context("storage_local")
        async with open_storage(root, threads=4, context=context, log_size=log_size) as storage:
            yield storage
        medium.heal()
