"""Something else lies where an object belongs: that one waits, however long, and no other does."""

import asyncio
import os
from pathlib import Path
from typing import Final

import pytest

from artstore.core.spec import AlreadyExistsError, UnavailableError
from artstore.core.testing import body, listed, read
from artstore.plugins.storage_local import commit_log
from artstore.plugins.storage_local.files import Files
from tests.plugins.storage_local.test_commit_log import HeldFiles, opened, segments

KIB: Final = 1024
MORE_THAN_THE_LOG: Final = 40
"""Batches of 100 KiB: several times both segments."""


class Intruder(Files):
    """Puts a directory into the place of an object between its acknowledgement and its file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def create(self, path: str) -> int:
        if path == str(self._path):
            self._path.mkdir(exist_ok=True)
        return super().create(path)


async def test_what_could_not_be_put_in_its_place_is_refused_and_nothing_with_it(root: Path) -> None:
    async with opened(root) as storage:
        (root / "a" / "taken").mkdir(parents=True)

        refused, stored = await asyncio.gather(
            storage.put_batch({"a/beside": b"1", "a/taken": b"2"}),
            storage.put_batch({"a/other": b"3"}),
            return_exceptions=True,
        )

        assert isinstance(refused, AlreadyExistsError)
        assert not isinstance(stored, BaseException)
        assert await listed(storage) == ["a/other"]


async def test_a_directory_that_is_a_link_is_refused_before_anything_is_acknowledged(
    root: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    async with opened(root) as storage:
        (root / "a").symlink_to(tmp_path / "outside")

        with pytest.raises(UnavailableError, match="symbolic link"):
            await storage.put_batch({"a/b/key": b"content"})
        await storage.put_batch({"b/key": b"content"})

        assert list((tmp_path / "outside").iterdir()) == []


async def test_what_something_came_in_the_way_of_is_carried_on_by_the_log_while_others_pass(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_log, "RETRY_INTERVAL", 0.01)
    async with opened(root, Intruder(root / "a" / "taken")) as storage:
        await storage.put_batch({"a/taken": b"content"})
        for number in range(MORE_THAN_THE_LOG):
            await storage.put_batch({f"a/{number}": os.urandom(100 * KIB)})

        with pytest.raises(AlreadyExistsError):
            await storage.put_batch({"a/taken": b"another"})
        with pytest.raises(AlreadyExistsError):
            await storage.put("a/taken", body(b"another"))
        assert await read(storage.get("a/taken")) == b"content"

    assert segments(root) != []
    async with opened(root) as storage:
        assert await read(storage.get("a/taken")) == b"content"
        await storage.put_batch({"a/more": b"more"})
    (root / "a" / "taken").rmdir()

    async with opened(root) as storage:
        assert await read(storage.get("a/taken")) == b"content"
    assert (root / "a" / "taken").read_bytes() == b"content"
    assert segments(root) == []


async def test_what_is_in_the_way_at_the_start_keeps_nothing_else_that_the_log_has(root: Path) -> None:
    async with opened(root, HeldFiles()) as storage:
        await storage.put_batch({"a/taken": b"1", "a/other": b"2"})
    (root / "a" / "taken").mkdir()

    with pytest.raises(UnavailableError, match="a/taken"):
        async with opened(root, log_size=0):
            pass
    async with opened(root) as storage:
        assert await read(storage.get("a/taken")) == b"1"
        assert (root / "a" / "other").read_bytes() == b"2"
