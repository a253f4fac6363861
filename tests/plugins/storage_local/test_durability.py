"""In which order an object reaches the disk, and what it costs."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from artstore.core.testing import body, plugin_context, read
from artstore.plugins.storage_local.backend import LocalStorage
from artstore.plugins.storage_local.files import Files
from artstore.plugins.storage_local.root import Root
from artstore.plugins.storage_local.workers import Workers

OpenStorage = Callable[[Files], AbstractAsyncContextManager[LocalStorage]]
MIB = 1024 * 1024

P = ParamSpec("P")
T = TypeVar("T")


class RecordedFiles(Files):
    """Notes every step, with paths relative to the root and the staged file called ``staged``."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root
        self.steps: list[str] = []

    def create(self, path: str) -> int:
        self.steps.append(f"create {self._name(path)}")
        return super().create(path)

    def write(self, descriptor: int, data: bytes) -> None:
        self.steps.append(f"write {len(data)}")
        super().write(descriptor, data)

    def stamp(self, descriptor: int, modified_ns: int) -> None:
        self.steps.append("stamp")
        super().stamp(descriptor, modified_ns)

    def sync(self, descriptor: int) -> None:
        self.steps.append("sync data")
        super().sync(descriptor)

    def rename(self, source: str, target: str) -> None:
        self.steps.append(f"rename {self._name(source)} {self._name(target)}")
        super().rename(source, target)

    def remove(self, path: str) -> None:
        self.steps.append(f"remove {self._name(path)}")
        super().remove(path)

    def make_directory(self, path: str) -> None:
        self.steps.append(f"mkdir {self._name(path)}")
        super().make_directory(path)

    def sync_directory(self, path: str) -> None:
        self.steps.append(f"sync {self._name(path)}")
        super().sync_directory(path)

    def _name(self, path: str) -> str:
        relative = os.path.relpath(path, self._root)
        return "staged" if relative.startswith(".artstore/staging/") else relative


@pytest.fixture
def files(root: Path) -> RecordedFiles:
    return RecordedFiles(root)


async def test_a_new_root_is_made_durable(root: Path, files: RecordedFiles, open_with: OpenStorage) -> None:
    async with open_with(files):
        pass

    assert files.steps == [
        "mkdir .",
        "sync ..",
        "mkdir .artstore",
        "sync .",
        "mkdir .artstore/staging",
        "sync .artstore",
    ]


async def test_an_object_and_every_new_directory_above_it_reach_the_disk_in_order(
    files: RecordedFiles, open_with: OpenStorage
) -> None:
    async with open_with(files) as storage:
        files.steps.clear()

        await storage.put("2026/11/key", body(b"con", b"tent"))

    assert files.steps == [
        "create staged",
        "write 7",
        "stamp",
        "sync data",
        "mkdir 2026",
        "sync .",
        "mkdir 2026/11",
        "sync 2026",
        "rename staged 2026/11/key",
        "sync 2026/11",
    ]


async def test_a_known_directory_is_not_made_again(files: RecordedFiles, open_with: OpenStorage) -> None:
    async with open_with(files) as storage:
        await storage.put("2026/11/first", body(b"content"))
        files.steps.clear()

        await storage.put("2026/11/second", body(b"content"))

    assert files.steps == [
        "create staged",
        "write 7",
        "stamp",
        "sync data",
        "rename staged 2026/11/second",
        "sync 2026/11",
    ]


async def test_a_directory_that_an_earlier_process_left_is_synced_once_more(
    root: Path, files: RecordedFiles, open_with: OpenStorage
) -> None:
    (root / "2026").mkdir(parents=True)
    async with open_with(files) as storage:
        files.steps.clear()

        await storage.put("2026/key", body(b"content"))

    assert files.steps.index("sync .") < files.steps.index("rename staged 2026/key")


async def test_a_large_body_is_written_in_batches(files: RecordedFiles, open_with: OpenStorage) -> None:
    async with open_with(files) as storage:
        files.steps.clear()

        await storage.put("key", body(*[b"x" * (256 * 1024)] * 9))

    writes = [step for step in files.steps if step.startswith("write")]
    assert writes == [f"write {MIB}", f"write {MIB}", f"write {MIB // 4}"]


async def test_tiny_chunks_make_batches_too(files: RecordedFiles, open_with: OpenStorage) -> None:
    async with open_with(files) as storage:
        files.steps.clear()

        await storage.put("key", body(*[b"xy"] * 1500))

    assert [step for step in files.steps if step.startswith("write")] == ["write 2048", "write 952"]


async def test_a_deletion_is_made_durable(files: RecordedFiles, open_with: OpenStorage) -> None:
    async with open_with(files) as storage:
        await storage.put("a/key", body(b"content"))
        files.steps.clear()

        await storage.delete("a/key")
        await storage.delete("a/key")

    assert files.steps == ["remove a/key", "sync a"] * 2


class CountedWorkers(Workers):
    """Counts the calls handed to a thread."""

    calls = 0

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        self.calls += 1
        return super().submit(function, *args, **kwargs)


async def test_a_small_object_costs_one_call_in_a_thread(root: Path) -> None:
    workers = CountedWorkers(2)
    opened = Root(root, Files())
    await workers.submit(opened.open)
    storage = LocalStorage(opened, workers, logger=plugin_context("storage_local").logger)
    calls: list[int] = []

    for call in (
        storage.put("a/key", body(b"x" * 10_000), size=10_000),
        storage.head("a/key"),
        storage.delete("a/key"),
    ):
        before = workers.calls
        await call
        calls.append(workers.calls - before)

    await workers.close()
    opened.close()
    assert calls == [1, 1, 1]


@pytest.mark.parametrize("directory", ["2026", ".artstore/staging"])
async def test_a_directory_that_was_swept_away_is_made_again(
    root: Path, storage: LocalStorage, directory: str
) -> None:
    await storage.put("2026/first", body(b"content"))
    await storage.delete("2026/first")
    (root / directory).rmdir()

    await storage.put("2026/second", body(b"content"))

    assert await read(storage.get("2026/second")) == b"content"


async def test_a_stamp_is_as_fine_as_the_clock(root: Path, storage: LocalStorage) -> None:
    before = time.time_ns()
    await storage.put("key", body(b"content"))
    after = time.time_ns()

    assert before <= (root / "key").stat().st_mtime_ns <= after


async def test_objects_are_plain_files_that_others_cannot_read(root: Path, storage: LocalStorage) -> None:
    await storage.put("2026/key", body(b"content"))

    assert (root / "2026" / "key").read_bytes() == b"content"
    assert (root / "2026" / "key").stat().st_mode & 0o137 == 0
    assert (root / "2026").stat().st_mode & 0o027 == 0
