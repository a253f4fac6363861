"""The way down to a file, by a kernel that follows no link, and by one that cannot be asked for that."""

import os
from errno import ELOOP
from pathlib import Path

import pytest

from artstore.plugins.storage_local import openat2
from artstore.plugins.storage_local.beneath import entered, kept, open_beneath
from artstore.plugins.storage_local.openat2 import open_cached

NO_SYSTEM_CALL = 100_000
"""What an old kernel says to ``openat2``, every kernel says to this."""


@pytest.fixture(params=["asked", "too old"])
def top(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "too old":
        monkeypatch.setattr(openat2, "OPENAT2", NO_SYSTEM_CALL)
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    (tmp_path / "root" / "a" / "b" / "file").write_bytes(b"content")
    return str(tmp_path / "root")


def test_a_file_is_opened_in_its_directory(top: str) -> None:
    descriptor = open_beneath(top, f"{top}/a/b/file", os.O_RDONLY)

    assert os.read(descriptor, 100) == b"content"
    os.close(descriptor)


def test_no_way_leads_through_a_link(top: str, tmp_path: Path) -> None:
    (tmp_path / "root" / "a").rename(tmp_path / "elsewhere")
    (tmp_path / "root" / "a").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="replaced by a symbolic link") as refused:
        open_beneath(top, f"{top}/a/b/file", os.O_RDONLY)

    assert refused.value.errno == ELOOP


def test_what_is_missing_and_what_is_no_directory_are_told_apart(top: str) -> None:
    with pytest.raises(FileNotFoundError):
        open_beneath(top, f"{top}/a/c/file", os.O_RDONLY)
    with pytest.raises(NotADirectoryError):
        open_beneath(top, f"{top}/a/b/file/deeper", os.O_RDONLY)


def test_the_root_may_be_a_link(top: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(top)

    os.close(open_beneath(f"{tmp_path}/link", f"{tmp_path}/link/a/b/file", os.O_RDONLY))


def test_who_keeps_directories_stays_in_the_root_that_was_entered_first(top: str, tmp_path: Path) -> None:
    with kept():
        first = entered(top)
        (tmp_path / "root").rename(tmp_path / "away")
        (tmp_path / "root").mkdir()
        os.close(open_beneath(top, f"{top}/a/b/file", os.O_RDONLY))
        later = entered(top)

    assert first is not None
    assert later is not None
    assert os.path.samestat(first, later)
    with pytest.raises(FileNotFoundError):
        open_beneath(top, f"{top}/a/b/file", os.O_RDONLY)


def test_no_descriptor_is_left_open(top: str) -> None:
    before = set(os.listdir("/proc/self/fd"))

    with kept():
        for path in ("a/b/file", "a/b/none", "c/d"):
            try:
                os.close(open_beneath(top, f"{top}/{path}", os.O_RDONLY))
            except FileNotFoundError:
                continue
    with pytest.raises(NotADirectoryError):
        open_beneath(top, f"{top}/a/b/file/deeper", os.O_RDONLY)

    assert set(os.listdir("/proc/self/fd")) == before


def test_a_file_whose_way_the_kernel_has_at_hand_is_opened_at_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"content")

    # It may say no at any time: when somebody renames a directory meanwhile, for one.
    tries = (open_cached(str(tmp_path), "a/file") for _ in range(1000))
    descriptor = next(each for each in tries if each is not None)

    assert os.read(descriptor, 100) == b"content"
    os.close(descriptor)


def test_nothing_is_opened_at_once_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"content")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "file")
    (tmp_path / "b").symlink_to(tmp_path / "a")

    assert open_cached(str(tmp_path), "a/link") is None
    assert open_cached(str(tmp_path), "b/file") is None


def test_what_cannot_be_opened_at_once_is_left_to_who_may_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"content")

    assert open_cached(str(tmp_path), "missing") is None
    assert open_cached(str(tmp_path / "no such root"), "file") is None
    monkeypatch.setattr(openat2, "OPENAT2", NO_SYSTEM_CALL)
    assert open_cached(str(tmp_path), "file") is None
