"""Ways down from a directory that lead through no symbolic link: what is behind one is not in the root.

``O_NOFOLLOW`` looks at the last name of a path only, so each directory is opened from the one above it. That
takes 6 µs more than to leave it to the kernel (measured, four directories down), and leaves no moment at
which a directory that was looked at can be exchanged for a link. What is done for many files at once goes
each way once.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from errno import ELOOP
from stat import S_ISLNK
from threading import local
from typing import Final

_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY


class _Kept(local):
    """Directories that a thread has entered and comes back to."""

    descriptors: dict[str, int] | None = None


_kept: Final = _Kept()


@contextmanager
def kept() -> Generator[None, None, None]:
    """Within it, this thread enters each directory once."""
    _kept.descriptors = {}
    try:
        yield
    finally:
        forget()
        _kept.descriptors = None


def forget() -> None:
    """Enter each directory again: one of them is not what it was."""
    descriptors = _kept.descriptors
    while descriptors:
        os.close(descriptors.popitem()[1])


@contextmanager
def parent(top: str, path: str) -> Generator[tuple[int, str], None, None]:
    """The directory of ``path``, open, and the name in it.

    Raises:
        OSError: there is none. With ``ELOOP``, a directory between it and ``top`` is a link.
    """
    directory, _, name = path.rpartition("/")
    descriptors = _kept.descriptors
    if descriptors is not None:
        if directory not in descriptors:
            descriptors[directory] = _enter(top, directory or ".")
        yield descriptors[directory], name
        return
    descriptor = _enter(top, directory or ".")
    try:
        yield descriptor, name
    finally:
        os.close(descriptor)


def open_beneath(top: str, path: str, flags: int, mode: int = 0) -> int:
    """What ``os.open`` does, but through no link. Raises as :func:`parent`."""
    with parent(top, path) as (directory, name):
        return os.open(name, flags | os.O_NOFOLLOW, mode, dir_fd=directory)


def open_directory(top: str, path: str) -> int:
    """A directory below ``top``, or that itself, to be listed or synced. Raises as :func:`parent`."""
    flags = os.O_RDONLY | os.O_DIRECTORY
    return open_beneath(top, path, flags) if _is_below(top, path) else os.open(path, flags)


def status_beneath(top: str, path: str) -> os.stat_result:
    """What ``os.lstat`` does, but through no link. Raises as :func:`parent`."""
    with parent(top, path) as (directory, name):
        return os.stat(name, dir_fd=directory, follow_symlinks=False)


def _enter(top: str, directory: str) -> int:
    """Links to ``top``, and above it, are the operator's own."""
    if not _is_below(top, directory):
        return os.open(directory, _DIRECTORY)
    descriptor = os.open(top, _DIRECTORY)
    for name in directory.removeprefix(top).strip("/").split("/"):
        try:
            inner = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
        except NotADirectoryError:
            if S_ISLNK(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
                raise OSError(ELOOP, "a directory of the root was replaced by a symbolic link") from None
            raise
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def _is_below(top: str, path: str) -> bool:
    return path != top and path.startswith(os.path.join(top, ""))
