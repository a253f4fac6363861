"""Every step by which this plugin changes the disk, one call each, so that a test can watch or cut it."""

import ctypes
import os
from errno import EDQUOT, EFBIG, ENOSPC
from typing import Final

from artstore.plugins.storage_local.beneath import open_beneath, open_directory, parent

FILE_MODE: Final = 0o640
DIRECTORY_MODE: Final = 0o750
FULL: Final = frozenset({ENOSPC, EDQUOT, EFBIG})
"""Errors that say that there is no room."""

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Files:
    """The writing half of POSIX, as far as durable files need it. Called in worker threads only.

    No way from ``top`` down to a file leads through a symbolic link.
    """

    def __init__(self, top: str = "/") -> None:
        self._top = top

    def create(self, path: str) -> int:
        return open_beneath(self._top, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)

    def write(self, descriptor: int, data: bytes) -> None:
        written = os.write(descriptor, data)
        while written < len(data):
            written += os.write(descriptor, memoryview(data)[written:])

    def stamp(self, descriptor: int, modified_ns: int) -> None:
        """Set the modification time to the nanosecond.

        By itself it moves in ticks of milliseconds, within which two versions of one size would look
        the same.
        """
        os.utime(descriptor, ns=(modified_ns, modified_ns))

    def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        written = os.pwrite(descriptor, data, offset)
        while written < len(data):
            written += os.pwrite(descriptor, memoryview(data)[written:], offset + written)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def sync_data(self, descriptor: int) -> None:
        """Sync what was written over bytes that were there: neither size nor blocks have changed."""
        os.fdatasync(descriptor)

    def sync_file_system(self, path: str) -> None:
        """Sync everything on the file system of ``path``, of others too (syncfs(2))."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if _LIBC.syncfs(descriptor) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
        finally:
            os.close(descriptor)

    def rename(self, source: str, target: str) -> None:
        with parent(self._top, source) as (before, old), parent(self._top, target) as (after, new):
            os.rename(old, new, src_dir_fd=before, dst_dir_fd=after)

    def remove(self, path: str) -> None:
        with parent(self._top, path) as (directory, name):
            os.unlink(name, dir_fd=directory)

    def make_directory(self, path: str) -> None:
        with parent(self._top, path) as (directory, name):
            os.mkdir(name, DIRECTORY_MODE, dir_fd=directory)

    def sync_directory(self, path: str) -> None:
        descriptor = open_directory(self._top, path)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
