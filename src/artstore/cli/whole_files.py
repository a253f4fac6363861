"""Files that are there as a whole or not at all, whatever breaks a command off, and one command at a time."""

import fcntl
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple


class Content(NamedTuple):
    """What is to be in a file, and who may read it."""

    data: bytes
    mode: int


def put(path: Path, data: bytes, *, mode: int) -> None:
    """Have ``data`` in ``path``, in place of what was there."""
    put_together({path: Content(data, mode)})


def put_together(contents: Mapping[Path, Content]) -> None:
    """As :func:`put`, for files that belong together: none is replaced before all are on the disk."""
    staged = {path: path.with_name(f"{path.name}.{os.getpid()}.new") for path in contents}
    try:
        for path, content in contents.items():
            _write(staged[path], content)
        for path in contents:
            staged[path].replace(path)
    except OSError:
        for path in staged.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise


@contextmanager
def alone(directory: Path) -> Generator[None, None, None]:
    """No other command changes ``directory`` meanwhile. Waits for whoever does; it need not be there."""
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with directory.with_name(f"{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, content: Content) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, content.mode), "wb") as file:
        os.fchmod(file.fileno(), content.mode)
        file.write(content.data)
        file.flush()
        os.fsync(file.fileno())
