"""Ways down from a directory that lead through no symbolic link: what is behind one is not in the root.

``O_NOFOLLOW`` looks at the last name of a path only. So the kernel is asked to follow none on the whole way,
and where it cannot be asked, each directory is opened from the one above it: neither leaves a moment at which
a directory that was looked at can be exchanged for a link. What is done for many files at once goes each way
once.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from errno import ELOOP
from stat import S_ISLNK
from threading import local
from typing import Final

from artstore.plugins.storage_local.openat2 import enter_at_once

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


def entered(top: str) -> os.stat_result | None:
    """What ``top`` is to this thread as long as it keeps directories, whatever is mounted there meanwhile."""
    return None if _kept.descriptors is None else os.fstat(_entered(top, top))


@contextmanager
def parent(top: str, path: str) -> Generator[tuple[int, str], None, None]:
    """The directory of ``path``, open, and the name in it.

    Raises:
        OSError: there is none. With ``ELOOP``, a directory between it and ``top`` is a link.
    """
    directory, _, name = path.rpartition("/")
    if _kept.descriptors is not None:
        yield _entered(top, directory or "."), name
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
    return open_beneath(top, os.path.join(path, "."), os.O_RDONLY | os.O_DIRECTORY)


def status_beneath(top: str, path: str) -> os.stat_result:
    """What ``os.lstat`` does, but through no link. Raises as :func:`parent`."""
    with parent(top, path) as (directory, name):
        return os.stat(name, dir_fd=directory, follow_symlinks=False)


def _entered(top: str, directory: str) -> int:
    """A directory that this thread keeps."""
    descriptors = _kept.descriptors
    assert descriptors is not None, "it keeps some"
    if directory not in descriptors:
        if _is_below(top, directory):
            descriptors[directory] = _descend(_entered(top, top), directory.removeprefix(top))
        else:
            descriptors[directory] = os.open(directory, _DIRECTORY)
    return descriptors[directory]


def _enter(top: str, directory: str) -> int:
    """Links to ``top``, and above it, are the operator's own."""
    if not _is_below(top, directory):
        return os.open(directory, _DIRECTORY)
    descriptor = os.open(top, _DIRECTORY)
    try:
        return _descend(descriptor, directory.removeprefix(top))
    finally:
        os.close(descriptor)


def _descend(top: int, path: str) -> int:
    names = path.strip("/")
    try:
        entered = enter_at_once(top, names)
        return _walk(top, names) if entered is None else entered
    except OSError as error:
        if error.errno == ELOOP:
            raise OSError(ELOOP, "a directory of the root was replaced by a symbolic link") from None
        raise


def _walk(top: int, path: str) -> int:
    descriptor = os.dup(top)
    for name in path.split("/"):
        try:
            inner = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
        except NotADirectoryError:
            if S_ISLNK(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
                raise OSError(ELOOP, os.strerror(ELOOP)) from None
            raise
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def _is_below(top: str, path: str) -> bool:
    return path != top and path.startswith(os.path.join(top, ""))
