"""Every step by which this plugin changes the disk, one call each, so that a test can watch or cut it."""

import os
import time
from typing import Final

FILE_MODE: Final = 0o640
DIRECTORY_MODE: Final = 0o750


class Files:
    """The writing half of POSIX, as far as durable files need it. Called in worker threads only."""

    def create(self, path: str) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)

    def write(self, descriptor: int, data: bytes) -> None:
        written = os.write(descriptor, data)
        while written < len(data):
            written += os.write(descriptor, memoryview(data)[written:])

    def stamp(self, descriptor: int) -> None:
        """Set the modification time to the nanosecond.

        By itself it moves in ticks of milliseconds, within which two versions of one size would look
        the same.
        """
        now = time.time_ns()
        os.utime(descriptor, ns=(now, now))

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target)

    def remove(self, path: str) -> None:
        os.unlink(path)

    def make_directory(self, path: str) -> None:
        os.mkdir(path, DIRECTORY_MODE)

    def sync_directory(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
