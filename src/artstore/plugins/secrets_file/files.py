"""Reads and writes one secret file; every function blocks."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from artstore.core.spec import (
    AlreadyExistsError,
    ContentTooLargeError,
    ForbiddenError,
    InsufficientStorageError,
    SecretValue,
    UnavailableError,
)

LARGEST_SECRET: Final = 1024 * 1024
"""Bytes."""

OPEN_TO_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


def read_file(path: Path) -> SecretValue | None:
    """The secret in ``path``, or ``None`` when there is no such file.

    Raises:
        ForbiddenError: others can read the file, or replace it.
        ContentTooLargeError: it is larger than ``LARGEST_SECRET``.
        UnavailableError: the file system refuses.

    """
    with _domain_errors(path):
        try:
            return _read_private_file(path)
        except FileNotFoundError:
            return None


def create_file(path: Path, value: bytes) -> SecretValue:
    """Keep ``value`` in a new file ``path``, durably.

    Raises:
        AlreadyExistsError: there is one.

    """
    return _write_file(path, value, publish=_link)


def replace_file(path: Path, value: bytes) -> SecretValue:
    """Keep ``value`` in ``path``, durably, in place of what was there."""
    return _write_file(path, value, publish=_rename)


def _read_private_file(path: Path) -> SecretValue:
    # What is checked is what is read: the open file, not a name that may change its meaning meanwhile.
    # Symbolic links are followed, their target is what counts. Opening a pipe must not wait for a writer.
    with (
        _open_directory(path.parent) as directory,
        _open(path.name, os.O_RDONLY | os.O_NONBLOCK, directory=directory) as descriptor,
    ):
        status = os.fstat(descriptor)
        _require_private(path, status)
        with open(descriptor, "rb", closefd=False) as file:
            value = file.read(LARGEST_SECRET + 1)
    _require_size(path, value)
    return _secret(path, value, status)


def _write_file(path: Path, value: bytes, *, publish: Callable[[str, str, int], None]) -> SecretValue:
    _require_size(path, value)
    with _domain_errors(path):
        _make_directory(path.parent)
        with _open_directory(path.parent) as directory:
            # It gets its own name only when it is whole: after a crash there is a secret or none, no half.
            temporary = f".{path.name}.{secrets.token_hex(8)}.new"
            try:
                status = _write_new_file(temporary, value, directory)
                publish(temporary, path.name, directory)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=directory)
            os.fsync(directory)
            return _secret(path, value, status)


def _write_new_file(name: str, value: bytes, directory: int) -> os.stat_result:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with _open(name, flags, directory=directory) as descriptor:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(value)
        os.fsync(descriptor)
        return os.fstat(descriptor)


def _link(source: str, target: str, directory: int) -> None:
    """Publish without ever taking another file's place, as a rename would."""
    try:
        os.link(source, target, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
    except FileExistsError:
        raise AlreadyExistsError(f"there is a secret {target} already; it was not changed") from None


def _rename(source: str, target: str, directory: int) -> None:
    os.rename(source, target, src_dir_fd=directory, dst_dir_fd=directory)


def _make_directory(path: Path) -> None:
    if path.is_dir():
        return
    _make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    with _open(path.parent, os.O_RDONLY | os.O_DIRECTORY) as parent:
        os.fsync(parent)


@contextmanager
def _open_directory(path: Path) -> Generator[int, None, None]:
    with _open(path, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        if os.fstat(descriptor).st_mode & WRITABLE_BY_OTHERS:
            raise ForbiddenError(f"others can replace the secrets in {path}; close it: chmod 700 {path}")
        yield descriptor


@contextmanager
def _open(path: Path | str, flags: int, *, directory: int | None = None) -> Generator[int, None, None]:
    descriptor = os.open(path, flags, mode=0o600, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _require_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ForbiddenError(f"{path} is not a regular file; put the secret in one")
    if status.st_mode & OPEN_TO_OTHERS:
        raise ForbiddenError(f"others have access to the secret in {path}; close it: chmod 600 {path}")


def _require_size(path: Path, value: bytes) -> None:
    if len(value) > LARGEST_SECRET:
        raise ContentTooLargeError(limit=LARGEST_SECRET, what=f"the secret {path.name}")


def _secret(path: Path, value: bytes, status: os.stat_result) -> SecretValue:
    # Every way to change a file changes one of the two.
    version = f"{status.st_mtime_ns:x}-{status.st_ino:x}"
    return SecretValue(value=value, version=version, source=f"file {path}")


@contextmanager
def _domain_errors(path: Path) -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InsufficientStorageError(f"no room for the secret {path.name}") from error
        raise UnavailableError(f"the secret file {path} cannot be used: {error.strerror}") from error
