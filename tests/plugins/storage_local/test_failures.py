"""What is left when something goes wrong: the old object, and nothing staged."""

import asyncio
import errno
import hashlib
import os
import resource
import threading
from collections.abc import AsyncIterator, Callable, Generator
from concurrent.futures import CancelledError
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path

import pytest

from artstore.core.spec import (
    AlreadyExistsError,
    ArtStoreError,
    ChecksumMismatchError,
    IncompleteBodyError,
    InsufficientStorageError,
    UnavailableError,
)
from artstore.core.testing import body, read
from artstore.plugins.storage_local.backend import LocalStorage
from artstore.plugins.storage_local.files import Files
from artstore.plugins.storage_local.root import Root
from artstore.plugins.storage_local.upload import Upload

OpenStorage = Callable[[Files], AbstractAsyncContextManager[LocalStorage]]
Staged = Callable[[], list[str]]

LARGE = b"x" * (3 * 1024 * 1024)
STEPS = ["create", "write", "stamp", "sync", "make_directory", "sync_directory", "rename"]


class FailingFiles(Files):
    """Each of ``failing`` fails with ``number``."""

    def __init__(self, *, number: int) -> None:
        super().__init__()
        self.failing: set[str] = set()
        self._number = number

    def create(self, path: str) -> int:
        self._fail("create", path)
        return super().create(path)

    def write(self, descriptor: int, data: bytes) -> None:
        self._fail("write")
        super().write(descriptor, data)

    def stamp(self, descriptor: int, modified_ns: int) -> None:
        self._fail("stamp")
        super().stamp(descriptor, modified_ns)

    def sync(self, descriptor: int) -> None:
        self._fail("sync")
        super().sync(descriptor)

    def rename(self, source: str, target: str) -> None:
        self._fail("rename", source)
        super().rename(source, target)

    def remove(self, path: str) -> None:
        self._fail("remove", path)
        super().remove(path)

    def make_directory(self, path: str) -> None:
        self._fail("make_directory", path)
        super().make_directory(path)

    def sync_directory(self, path: str) -> None:
        self._fail("sync_directory", path)
        super().sync_directory(path)

    def _fail(self, step: str, path: str | None = None) -> None:
        if step in self.failing:
            raise OSError(self._number, os.strerror(self._number), path)


@pytest.mark.parametrize("content", [b"new", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, InsufficientStorageError),
        (errno.EDQUOT, InsufficientStorageError),
        (errno.EIO, UnavailableError),
        (errno.EROFS, UnavailableError),
        (errno.EACCES, UnavailableError),
    ],
    ids=["ENOSPC", "EDQUOT", "EIO", "EROFS", "EACCES"],
)
async def test_a_step_that_fails_leaves_nothing_staged(
    root: Path,
    open_with: OpenStorage,
    staged: Staged,
    content: bytes,
    step: str,
    number: int,
    expected: type[ArtStoreError],
) -> None:
    files = FailingFiles(number=number)
    async with open_with(files) as storage:
        files.failing = {step}

        with pytest.raises(expected) as failure:
            await storage.put("a/new/key", body(content))

        assert type(failure.value) is expected
        assert staged() == []
        assert "a/new/key" not in failure.value.detail
        assert os.strerror(number) in failure.value.detail
        assert str(root) not in failure.value.detail


@pytest.mark.parametrize("step", ["create", "write", "stamp", "sync", "rename"])
async def test_a_failed_replacement_leaves_the_old_object(open_with: OpenStorage, step: str) -> None:
    files = FailingFiles(number=errno.ENOSPC)
    async with open_with(files) as storage:
        await storage.put("key", body(b"old"))
        files.failing = {step}
        with pytest.raises(InsufficientStorageError):
            await storage.put("key", body(LARGE))
        files.failing = set()

        assert await read(storage.get("key")) == b"old"


@contextmanager
def largest_file(size: int) -> Generator[None, None, None]:
    """Files of this process cannot grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_file_that_the_system_will_not_let_grow_is_not_kept(
    storage: LocalStorage, staged: Staged
) -> None:
    with largest_file(1_500_000), pytest.raises(InsufficientStorageError):
        await storage.put("key", body(LARGE))

    assert staged() == []
    assert [info async for info in storage.list()] == []


@pytest.mark.parametrize("content", [b"content", LARGE], ids=["small", "large"])
async def test_a_refused_body_leaves_nothing_staged(
    storage: LocalStorage, staged: Staged, content: bytes
) -> None:
    with pytest.raises(ChecksumMismatchError):
        await storage.put("key", body(content), sha256=hashlib.sha256(b"other").hexdigest())
    with pytest.raises(IncompleteBodyError):
        await storage.put("key", body(content), size=len(content) + 1)
    with pytest.raises(IncompleteBodyError):
        await storage.put("key", body(content), size=len(content) - 1)

    assert staged() == []


async def test_a_broken_body_leaves_nothing_staged(storage: LocalStorage, staged: Staged) -> None:
    async def broken_body() -> AsyncIterator[bytes]:
        yield LARGE
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await storage.put("key", broken_body())

    assert staged() == []


class HeldFiles(Files):
    """Holds every ``step`` until it is released."""

    def __init__(self, step: str) -> None:
        super().__init__()
        self._step = step
        self.reached = threading.Event()
        self.released = threading.Event()

    def write(self, descriptor: int, data: bytes) -> None:
        self._hold("write")
        super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self._hold("sync")
        super().sync(descriptor)

    def _hold(self, step: str) -> None:
        if step == self._step:
            self.reached.set()
            self.released.wait()


@pytest.mark.parametrize("content", [b"content", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("step", ["write", "sync"])
@pytest.mark.parametrize("cancellations", [1, 2])
async def test_a_put_cancelled_while_a_thread_works_leaves_nothing_staged(
    open_with: OpenStorage, staged: Staged, content: bytes, step: str, cancellations: int
) -> None:
    files = HeldFiles(step)
    async with open_with(files) as storage:
        putting = asyncio.create_task(storage.put("key", body(content)))
        await asyncio.to_thread(files.reached.wait)

        for _ in range(cancellations):
            putting.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        files.released.set()
        with pytest.raises(asyncio.CancelledError):
            await putting

    assert staged() == []


async def test_a_cancelled_put_waits_for_its_thread(open_with: OpenStorage, staged: Staged) -> None:
    files = HeldFiles("sync")
    async with open_with(files) as storage:
        putting = asyncio.create_task(storage.put("key", body(b"content")))
        await asyncio.to_thread(files.reached.wait)
        putting.cancel()
        done, _ = await asyncio.wait([putting], timeout=0.05)
        files.released.set()
        await asyncio.wait([putting])

        assert not done
        assert staged() == []


def test_a_step_that_comes_after_the_end_does_nothing(root: Path, staged: Staged) -> None:
    opened = Root(root, Files())
    opened.open()
    upload = Upload(opened, size=None, sha256=None)
    upload.discard()

    with pytest.raises(CancelledError):
        upload.write([b"late"])

    opened.close()
    assert staged() == []


async def test_a_staged_file_that_cannot_be_removed_does_not_hide_the_error(
    open_with: OpenStorage, staged: Staged
) -> None:
    files = FailingFiles(number=errno.EIO)
    async with open_with(files) as storage:
        files.failing = {"remove"}
        with pytest.raises(IncompleteBodyError):
            await storage.put("key", body(b"content"), size=8)
    left_staged = staged()

    async with open_with(Files()):
        pass

    assert len(left_staged) == 1
    assert staged() == []


async def test_an_object_and_a_directory_cannot_share_a_name(storage: LocalStorage, staged: Staged) -> None:
    await storage.put("a/key", body(b"content"))

    for key in ("a", "a/key/below", "a/key/far/below"):
        with pytest.raises(AlreadyExistsError):
            await storage.put(key, body(b"other"))

    assert await read(storage.get("a/key")) == b"content"
    assert staged() == []
