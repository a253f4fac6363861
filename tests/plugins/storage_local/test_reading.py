"""What counts as an object, and what a reader is never given."""

import asyncio
import os
import sys
import threading
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import pytest

from artstore.core.spec import CorruptedError, IncompleteBodyError, InvalidRequestError, NotFoundError
from artstore.core.testing import body, plugin_context, read
from artstore.plugins.storage_local.backend import LocalStorage
from artstore.plugins.storage_local.files import Files
from artstore.plugins.storage_local.root import Root
from artstore.plugins.storage_local.workers import Workers

P = ParamSpec("P")
T = TypeVar("T")

LARGE = bytes(range(256)) * 4096
WITHOUT_PRIVILEGES: Final = (
    ("setpriv", "--inh-caps=-all", "--bounding-set=-all", "--") if os.geteuid() == 0 else ()
)
"""Root may read every directory, unless its privileges are taken away."""
LIST: Final = """
import sys
from artstore.plugins.storage_local.listing import walk
print([info.key for info in walk(sys.argv[1], prefix="", after=None)])
"""


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def evict(path: Path) -> None:
    """Drop the file from the page cache."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


async def test_an_object_that_is_not_cached_is_read_from_the_disk(root: Path, storage: LocalStorage) -> None:
    await storage.put("key", body(LARGE))
    evict(root / "key")

    assert await read(storage.get("key")) == LARGE


@pytest.mark.parametrize("length", [0, 300_000])
async def test_a_file_cut_while_it_is_read_is_corrupted(
    root: Path, storage: LocalStorage, length: int
) -> None:
    await storage.put("key", body(LARGE))

    async with storage.get("key") as reader:
        os.truncate(root / "key", length)
        with pytest.raises(CorruptedError):
            _ = [chunk async for chunk in reader.chunks]


@pytest.fixture
def strangers(root: Path, tmp_path: Path, storage: LocalStorage) -> list[str]:
    """Names in the root that are no objects."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (root / "link").symlink_to(secret)
    (root / "broken").symlink_to(root / "nowhere")
    (root / "linked").symlink_to(tmp_path)
    (root / "directory").mkdir()
    os.mkfifo(root / "pipe")
    return ["link", "broken", "linked", "directory", "pipe"]


async def test_links_directories_and_pipes_are_no_objects(
    storage: LocalStorage, strangers: list[str]
) -> None:
    for name in strangers:
        with pytest.raises(NotFoundError):
            await storage.head(name)
        with pytest.raises(NotFoundError):
            await read(storage.get(name))

    assert [info async for info in storage.list()] == []


async def test_putting_over_a_link_leaves_its_target(
    tmp_path: Path, storage: LocalStorage, strangers: list[str]
) -> None:
    await storage.put("link", body(b"content"))

    assert await read(storage.get("link")) == b"content"
    assert (tmp_path / "secret").read_bytes() == b"secret"


async def test_files_put_there_by_hand_are_objects(root: Path, storage: LocalStorage) -> None:
    (root / "ARTSTORE.md").write_text("about")
    (root / "element.json").write_text("{}")

    assert [info.key async for info in storage.list()] == ["ARTSTORE.md", "element.json"]
    assert await read(storage.get("ARTSTORE.md")) == b"about"


async def test_names_that_are_not_utf8_are_not_listed(root: Path, storage: LocalStorage) -> None:
    (root / os.fsdecode(b"\xff")).write_bytes(b"")
    (root / "key").write_bytes(b"")

    assert [info.key async for info in storage.list()] == ["key"]


@pytest.mark.parametrize("key", [".artstore", ".artstore/staging/x", ".artstore/catalog.db"])
async def test_the_working_area_holds_no_objects(root: Path, storage: LocalStorage, key: str) -> None:
    (root / ".artstore" / "catalog.db").write_bytes(b"")

    with pytest.raises(InvalidRequestError):
        await storage.put(key, body(b"content"))
    with pytest.raises(InvalidRequestError):
        await storage.head(key)
    assert [info async for info in storage.list(key)] == []
    assert [info async for info in storage.list()] == []


async def test_a_name_like_the_working_areas_is_a_key_elsewhere(storage: LocalStorage) -> None:
    keys = [".artstore.md", "a/.artstore/b"]
    for key in keys:
        await storage.put(key, body(b"content"))

    assert [info.key async for info in storage.list()] == keys


async def test_a_local_path_leads_to_the_object(storage: LocalStorage) -> None:
    local_paths = storage.capabilities.local_paths
    assert local_paths is not None
    await storage.put("a/ключ", body(b"content"))

    path = local_paths.path("a/ключ")

    assert path.read_bytes() == b"content"
    with pytest.raises(InvalidRequestError):
        local_paths.path("../outside")


async def test_usage_is_that_of_the_file_system(root: Path, storage: LocalStorage) -> None:
    usage = await storage.usage()

    status = os.statvfs(root)
    total = status.f_blocks * status.f_frsize
    assert usage.total == total
    assert usage.used is not None
    assert usage.free is not None
    assert 0 < usage.used + usage.free <= total


async def test_a_directory_that_vanishes_during_a_listing_is_passed_over(
    root: Path, storage: LocalStorage
) -> None:
    keys = [f"a/{number:03}" for number in range(300)] + ["b/gone", "c/last"]
    for key in keys:
        (root / key).parent.mkdir(exist_ok=True)
        (root / key).write_bytes(b"")

    listing = storage.list()
    seen = [(await anext(listing)).key]
    (root / "b" / "gone").unlink()
    (root / "b").rmdir()
    (root / "a" / "299").unlink()
    seen += [info.key async for info in listing]

    assert seen == [*keys[:299], "c/last"]


class HeldWorkers(Workers):
    """Threads that begin nothing until they are released."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.reached = threading.Event()
        self.released = threading.Event()

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        def held() -> T:
            self.reached.set()
            self.released.wait()
            return function(*args, **kwargs)

        return super().submit(held)


class TestDescriptors:
    """None stays open, however a reader ends."""

    @pytest.fixture
    def opened_root(self, root: Path, storage: LocalStorage) -> Root:
        return Root(root, Files())

    @pytest.fixture(autouse=True)
    async def none_is_left(self, storage: LocalStorage) -> AsyncGenerator[None, None]:
        await storage.put("key", body(LARGE))
        before = open_descriptors()
        yield
        for _ in range(500):
            if open_descriptors() == before:
                break
            await asyncio.sleep(0.01)
        assert open_descriptors() == before

    async def test_after_reading_it_all(self, storage: LocalStorage) -> None:
        await read(storage.get("key"))

    async def test_after_an_error_in_the_reader(self, storage: LocalStorage) -> None:
        with pytest.raises(ConnectionResetError):
            async with storage.get("key"):
                raise ConnectionResetError

    async def test_after_the_object_was_deleted(self, storage: LocalStorage) -> None:
        async with storage.get("key") as reader:
            await storage.delete("key")
            await anext(reader.chunks)

    async def test_after_a_directory_was_refused(self, root: Path, storage: LocalStorage) -> None:
        (root / "directory").mkdir()

        with pytest.raises(NotFoundError):
            await read(storage.get("directory"))

    async def test_after_a_refused_put(self, storage: LocalStorage) -> None:
        with pytest.raises(IncompleteBodyError):
            await storage.put("key", body(LARGE), size=1)

    async def test_after_an_open_cancelled_while_a_thread_works(self, opened_root: Root) -> None:
        workers = HeldWorkers(1)
        storage = LocalStorage(opened_root, workers, logger=plugin_context("storage_local").logger)
        opening = asyncio.create_task(read(storage.get("key")))
        await asyncio.to_thread(workers.reached.wait)

        opening.cancel()
        await asyncio.wait([opening])
        workers.released.set()
        await workers.close()

        assert opening.cancelled()


@pytest.mark.parametrize(("name", "listed"), [("lost+found", "['key']"), ("2026", None)])
async def test_of_directories_that_may_not_be_read_only_that_of_fsck_is_passed_over(
    tmp_path: Path, name: str, listed: str | None
) -> None:
    (tmp_path / "key").write_bytes(b"")
    (tmp_path / name).mkdir(mode=0)

    listing = await asyncio.create_subprocess_exec(
        *WITHOUT_PRIVILEGES, sys.executable, "-c", LIST, tmp_path, stdout=PIPE, stderr=DEVNULL
    )
    output, _ = await listing.communicate()

    assert (output.decode().strip() or None) == listed
    assert (listing.returncode == 0) is (listed is not None)
