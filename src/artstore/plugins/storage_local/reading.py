"""Reading single objects: what their files look like from outside, and pieces of their bytes."""

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from errno import ELOOP, ENOENT, ENOTDIR, ENXIO
from typing import Final, NamedTuple

from artstore.core.spec import NotFoundError, ObjectInfo
from artstore.plugins.storage_local.beneath import open_beneath, status_beneath

# O_NONBLOCK: opening a named pipe that somebody put into the root must not wait for its writer.
OPEN_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK
NO_OBJECT: Final = frozenset({ENOENT, ENOTDIR, ELOOP, ENXIO})


class OpenFile(NamedTuple):
    """A file that is open for reading, and its status at that moment."""

    descriptor: int
    status: os.stat_result


def open_file(top: str, path: str, key: str) -> OpenFile:
    """Open the object at ``path``. A directory or device there is no object, nor what is behind a link below
    ``top``. Blocks.
    """
    with _absence(key):
        descriptor = open_beneath(top, path, OPEN_FLAGS)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise NotFoundError(f"there is no object {key!r}")
    return OpenFile(descriptor, status)


def file_status(top: str, path: str, key: str) -> os.stat_result:
    """The status of the object at ``path``, as :func:`open_file`. Blocks."""
    with _absence(key):
        status = status_beneath(top, path)
    if not stat.S_ISREG(status.st_mode):
        raise NotFoundError(f"there is no object {key!r}")
    return status


def describe(key: str, size: int, modified_ns: int, *, sha256: str | None = None) -> ObjectInfo:
    return ObjectInfo(
        key=key,
        size=size,
        etag=f"{modified_ns:x}-{size:x}",
        modified_at=datetime.fromtimestamp(modified_ns / 1e9, UTC),
        sha256=sha256,
    )


def read_cached(descriptor: int, buffer: memoryview, offset: int) -> bytes:
    """What the page cache has of the file from ``offset`` on. Never waits for the disk.

    Nothing means: read it the slow way, which also tells why. The bytes are not cached, the file ends
    here, the file system cannot say what it has cached (tmpfs), or the read failed.
    """
    try:
        length = os.preadv(descriptor, [buffer], offset, os.RWF_NOWAIT)
    except OSError:
        return b""
    return bytes(buffer[:length])


@contextmanager
def _absence(key: str) -> Generator[None, None, None]:
    """Tell a missing object from a failing disk."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_OBJECT:
            raise NotFoundError(f"there is no object {key!r}") from None
        raise
