"""The commit log: what it acknowledged is there after any end of the process, and nothing else is."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from errno import EIO, ENOSPC
from pathlib import Path
from typing import Final

import pytest
from structlog.testing import capture_logs

from artstore.core.spec import ConfigurationError, InsufficientStorageError, UnavailableError
from artstore.core.testing import body, plugin_context, read
from artstore.core.testing.storage import listed
from artstore.plugins.storage_local import commit_log
from artstore.plugins.storage_local.backend import LocalStorage, open_storage
from artstore.plugins.storage_local.files import Files
from artstore.plugins.storage_local.plugin import SMALLEST_LOG, LocalConfig
from artstore.plugins.storage_local.root import Root
from artstore.plugins.storage_local.segment import ForeignError, Segment, Step, read_content

KIB: Final = 1024
GROUPS: Final = 6
CHILD: Final = Path(__file__).with_name("commit_log_child.py")


@asynccontextmanager
async def opened(
    root: Path, files: Files | None = None, *, log_size: int = SMALLEST_LOG
) -> AsyncGenerator[LocalStorage, None]:
    context = plugin_context("storage_local")
    async with open_storage(
        Root(root, files or Files()), threads=2, context=context, log_size=log_size
    ) as storage:
        await storage.take_over(lambda key: True)
        yield storage


def segments(root: Path) -> list[Path]:
    return sorted((root / ".artstore" / "log").glob("*"))


class HeldFiles(Files):
    """Writes no plain file, as if the process had been killed before."""

    def create(self, path: str) -> int:
        if "/log/" in path:
            return super().create(path)
        raise OSError(ENOSPC, "No space left on device")


async def test_a_clean_stop_leaves_no_log_and_every_file(root: Path) -> None:
    async with opened(root) as storage:
        for number in range(50):
            await storage.put_batch({f"a/{number:02}": b"%d" % number, f"a/{number:02}.attr.json": b"{}"})

    assert segments(root) == []
    assert len(list((root / "a").iterdir())) == 100
    assert (root / "a" / "07").read_bytes() == b"7"


async def test_what_was_acknowledged_and_not_in_its_file_is_read_all_the_same(root: Path) -> None:
    async with opened(root, HeldFiles()) as storage:
        [info] = await storage.put_batch({"key": b"content"})

        assert await read(storage.get("key")) == b"content"
        assert await storage.head("key") == info.__class__(info.key, info.size, info.etag, info.modified_at)
        with pytest.raises(InsufficientStorageError):
            await listed(storage)


async def test_the_next_start_puts_in_place_what_only_the_log_had(root: Path) -> None:
    async with opened(root, HeldFiles()) as storage:
        [info] = await storage.put_batch({"a/key": b"content"})
    assert segments(root) != []
    assert not (root / "a" / "key").exists()

    async with opened(root) as storage:
        assert segments(root) == []
        assert await read(storage.get("a/key")) == b"content"
        assert (await storage.head("a/key")).etag == info.etag


async def test_on_a_full_disk_the_next_start_does_not_write_again_what_is_in_place(
    root: Path, tmp_path: Path
) -> None:
    class FullDisk(Files):
        def write(self, descriptor: int, data: bytes) -> None:
            raise OSError(ENOSPC, "No space left on device")

    killed = tmp_path / "killed"
    async with opened(root) as storage:
        await storage.put_batch({"a/key": b"content"})
        assert await listed(storage) == ["a/key"]
        await asyncio.to_thread(shutil.copytree, root, killed)
    assert segments(killed) != []

    async with opened(killed, FullDisk()) as storage:
        assert await read(storage.get("a/key")) == b"content"

    assert segments(killed) == []


async def test_when_files_do_not_fit_nothing_more_is_taken_until_they_do(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_log, "RETRY_INTERVAL", 0.01)
    files = HeldFiles()
    async with opened(root, files) as storage:
        await storage.put_batch({"first": b"content"})
        with pytest.raises(InsufficientStorageError):
            await storage.put_batch({"second": b"content"})

        files.create = Files().create  # type: ignore[method-assign]
        while await _is_refused(storage):  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.01)

        assert await listed(storage) == ["first", "third"]


async def _is_refused(storage: LocalStorage) -> bool:
    try:
        await storage.put_batch({"third": b"content"})
    except InsufficientStorageError:
        return True
    return False


async def test_what_does_not_fit_leaves_nothing_however_often_it_is_tried(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_log, "RETRY_INTERVAL", 0.01)

    class FullDisk(Files):
        attempts = 0

        def stamp(self, descriptor: int, modified_ns: int) -> None:
            self.attempts += 1
            if self.attempts < 10:
                raise OSError(ENOSPC, "No space left on device")
            super().stamp(descriptor, modified_ns)

    async with opened(root) as storage:
        await storage.put_batch({"key": b"old"})
    async with opened(root, FullDisk()) as storage:
        await storage.put_batch({"key": b"new"})
        while await _is_refused(storage):  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.01)

        assert os.listdir(root / ".artstore" / "staging") == []
        assert await read(storage.get("key")) == b"new"


async def test_an_object_is_replaced_after_its_staging_directory_was_swept_away(root: Path) -> None:
    async with opened(root) as storage:
        await storage.put_batch({"key": b"old"})
        await listed(storage)
        (root / ".artstore" / "staging").rmdir()

        await storage.put_batch({"key": b"new"})
        await listed(storage)

        assert (root / "key").read_bytes() == b"new"


async def test_after_a_failed_sync_nothing_is_acknowledged(root: Path) -> None:
    class BrokenDisk(Files):
        is_broken = False

        def sync_data(self, descriptor: int) -> None:
            if self.is_broken:
                raise OSError(EIO, "Input/output error")
            super().sync_data(descriptor)

    disk = BrokenDisk()
    async with opened(root, disk) as storage:
        await storage.put_batch({"before": b"content"})
        disk.is_broken = True
        for key in ("broken", "later"):
            with pytest.raises(UnavailableError):
                await storage.put_batch({key: b"content"})
        disk.is_broken = False
        with pytest.raises(UnavailableError):
            await storage.put_batch({"repaired": b"content"})
        await storage.put("large", body(b"content"))

    async with opened(root) as storage:
        found = set(await listed(storage))
    assert {"before", "large"} <= found <= {"before", "large", "broken"}


async def test_a_log_that_cannot_grow_refuses_and_goes_on_later(root: Path) -> None:
    class Full(Files):
        is_full = True

        def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
            if self.is_full:
                raise OSError(ENOSPC, "No space left on device")
            super().write_at(descriptor, data, offset)

    files = Full()
    async with opened(root, files) as storage:
        with pytest.raises(InsufficientStorageError):
            await storage.put_batch({"refused": b"content"})
        files.is_full = False
        await storage.put_batch({"taken": b"content"})

        assert await listed(storage) == ["taken"]


async def test_full_segments_take_turns(root: Path) -> None:
    content = os.urandom(100 * KIB)
    async with opened(root) as storage:
        for number in range(100):
            await storage.put_batch({f"{number:03}": content})

        assert sum(path.stat().st_size for path in segments(root)) <= 2 * SMALLEST_LOG
        assert len(await listed(storage)) == 100

    assert all((root / f"{number:03}").read_bytes() == content for number in range(100))


async def test_an_idle_log_is_emptied(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_log, "LAG", 0.05)
    async with opened(root) as storage:
        await storage.put_batch({"key": b"content"})
        while await asyncio.to_thread(_logged, root):  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.01)

        assert (root / "key").read_bytes() == b"content"


def _logged(root: Path) -> bool:
    return any(read_content(path.read_bytes()).batches for path in segments(root))


@pytest.mark.parametrize("cancellations", [1, 2])
async def test_who_gives_up_finds_what_became_of_the_batch(root: Path, cancellations: int) -> None:
    async with opened(root) as storage:
        putting = asyncio.create_task(storage.put_batch({"key": b"content"}))
        for _ in range(cancellations):
            await asyncio.sleep(0)
            putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting

        assert await read(storage.get("key")) == b"content"


async def killed_with(root: Path, killed: Path, objects: Sequence[tuple[str, bytes]]) -> Path:
    """Leave in ``killed`` what a process that is killed leaves of objects stored one after the other."""
    async with opened(root) as storage:
        for key, content in objects:
            await storage.put_batch({key: content})
        await listed(storage)
        await asyncio.to_thread(shutil.copytree, root, killed)
    [log] = [path for path in segments(killed) if read_content(path.read_bytes()).batches]
    return log


async def test_one_damaged_record_costs_nothing_else_and_is_kept(root: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    log = await killed_with(root, killed, [("a", b"1"), ("b", b"before"), ("b", b"DAMAGED"), ("c", b"3")])
    content = log.read_bytes().replace(b"DAMAGED", b"damaged")
    log.write_bytes(content)
    (killed / "c").unlink()

    with capture_logs() as logs:
        async with opened(killed) as storage:
            found = {key: await read(storage.get(key)) for key in await listed(storage)}

    assert found == {"a": b"1", "b": b"DAMAGED", "c": b"3"}
    [told] = [entry for entry in logs if entry["event"] == "commit_log_damaged"]
    assert await asyncio.to_thread(Path(told["kept"]).read_bytes) == content
    assert segments(killed) == []


async def test_a_log_that_another_release_has_written_is_neither_read_nor_removed(
    root: Path, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"
    log = await killed_with(root, killed, [("a", b"1")])
    content = b"ASL2" + log.read_bytes()[4:]
    log.write_bytes(content)

    with pytest.raises(ConfigurationError, match="no commit log of this release: start the release"):
        async with opened(killed):
            pass

    assert log.read_bytes() == content


@pytest.mark.parametrize("size", [1, SMALLEST_LOG - 1])
def test_a_log_too_small_for_a_batch_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"should be 0 or at least {SMALLEST_LOG}"):
        LocalConfig(root=Path("root"), commit_log_size=size)


class TestSegment:
    """What is on the disk is read back up to the first byte that is not what was written."""

    BATCHES: Final = [
        [Step(f"key-{number}", b"x" * number, number), Step("gone", None, 0)] for number in range(4)
    ]

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        segment = Segment(Files(), str(tmp_path / "1"), size=SMALLEST_LOG)
        segment.begin(7)
        records = segment.encode(self.BATCHES)
        segment.write_ahead(records)
        segment.append(records)
        segment.close()
        return tmp_path / "1"

    def test_batches_come_back(self, path: Path) -> None:
        assert read_content(path.read_bytes()) == (7, self.BATCHES, False)

    def test_a_torn_record_ends_it(self, path: Path) -> None:
        content = path.read_bytes()
        first_sector = 24  # which is on the disk or not: the head of the first record is never torn
        ends = range(first_sector, len(content.rstrip(b"\0")))

        read_back = [read_content(torn) for end in ends for torn in (content[:end], _zeroed(content, end))]

        assert [each.batches for each in read_back] == [
            self.BATCHES[: len(each.batches)] for each in read_back
        ]
        assert {len(each.batches) for each in read_back} == {0, 1, 2, 3}
        assert not any(each.is_damaged for each in read_back)

    def test_an_altered_record_is_left_out_and_told_unless_it_may_be_torn(self, path: Path) -> None:
        content = path.read_bytes()
        head = 12  # where the segment says what it is, and of which turn

        for position in range(head, len(content.rstrip(b"\0"))):
            altered = bytearray(content)
            altered[position] ^= 0xFF
            _, batches, is_damaged = read_content(bytes(altered))

            left_out = [batch for batch in self.BATCHES if batch not in batches]
            assert batches == [batch for batch in self.BATCHES if batch not in left_out]
            assert left_out
            assert is_damaged == (left_out != self.BATCHES[-1:])

    @pytest.mark.parametrize("head", [b"ASL2", b"\0\0\0\1", b"text"])
    def test_what_begins_otherwise_is_foreign(self, path: Path, head: bytes) -> None:
        content = path.read_bytes()

        for foreign in (head + content[len(head) :], head):
            with pytest.raises(ForeignError):
                read_content(foreign)

    def test_what_is_left_of_an_earlier_turn_is_not_read(self, tmp_path: Path) -> None:
        segment = Segment(Files(), str(tmp_path / "1"), size=SMALLEST_LOG)
        for generation, batches in ((1, self.BATCHES), (2, self.BATCHES[:1])):
            segment.begin(generation)
            records = segment.encode(batches)
            segment.write_ahead(records)
            segment.append(records)
        segment.close()

        assert read_content(Path(segment.path).read_bytes()) == (2, self.BATCHES[:1], False)

    def test_a_cleared_one_has_nothing(self, path: Path) -> None:
        segment = Segment(Files(), str(path.with_name("2")), size=SMALLEST_LOG)
        segment.begin(1)
        records = segment.encode(self.BATCHES)
        segment.write_ahead(records)
        segment.append(records)
        segment.clear()
        segment.close()

        assert read_content(Path(segment.path).read_bytes())[:2] == (0, [])


def _zeroed(content: bytes, start: int) -> bytes:
    return content[:start].ljust(len(content), b"\0")


def killed_at(root: Path, step: int) -> tuple[bool, set[str], set[str]]:
    """Run the child until its ``step``-th change of the disk.

    Whether it was killed, what it had begun, and what was acknowledged to it. ``name-`` is a removal.
    """
    command = [sys.executable, str(CHILD), str(root), str(step)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    lines = [line.split() for line in ended.stdout.splitlines() if line.startswith(("begun", "acknowledged"))]
    begun = {name for kind, name in lines if kind == "begun"}
    acknowledged = {name for kind, name in lines if kind == "acknowledged"}
    return ended.returncode != 0, begun, acknowledged


async def check_after(root: Path, begun: set[str], acknowledged: set[str]) -> None:
    """Every acknowledged pair is whole, every other is whole or absent, and nothing else is there."""
    half_removed = {name[:-1] for name in begun if name.endswith("-")}
    async with opened(root) as storage:
        keys = set(await listed(storage))
        pairs = {key.removesuffix(".attr.json") for key in keys}
        assert {name for name in acknowledged if not name.endswith("-")} - half_removed <= pairs <= begun
        assert not pairs & {name[:-1] for name in acknowledged if name.endswith("-")}
        for name in pairs - half_removed:
            assert {name, f"{name}.attr.json"} <= keys
            assert await read(storage.get(name)) == name.encode() * 1000
            assert await read(storage.get(f"{name}.attr.json")) == b"{}"
    assert os.listdir(root / ".artstore" / "staging") == []
    assert segments(root) == []


async def sweep(tmp_path: Path, steps: Callable[[int], int]) -> int:
    step, killed = 1, 0
    while True:
        root = tmp_path / str(step)
        was_killed, begun, acknowledged = await asyncio.to_thread(killed_at, root, step)
        await check_after(root, begun, acknowledged)
        # Once more: what was replayed and stopped cleanly stays.
        await check_after(root, begun, acknowledged)
        if not was_killed:
            return killed
        killed += 1
        step = steps(step)


async def test_killed_at_some_steps_it_loses_and_halves_nothing(tmp_path: Path) -> None:
    assert await sweep(tmp_path, lambda step: step + 1 + step // 3) > 5


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_killed_at_every_step_it_loses_and_halves_nothing(tmp_path: Path) -> None:
    assert await sweep(tmp_path, lambda step: step + 1) > 50
