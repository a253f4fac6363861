"""Files of this machine, as `put` and `verify` see them: what a folder holds, names, digests."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from artstore.core.spec import ConfigurationError

READ_SIZE: Final = 1024 * 1024
MAX_NAME_LENGTH: Final = 500
"""Characters of a name in the archive."""
MAX_FILE_NAME: Final = 255
"""Bytes of a name in a directory, on every file system of Linux."""
_ILLEGAL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029/\\\\]")


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A regular file. ``archive_path`` is its path below the argument it was found by, with ``/``."""

    path: Path
    archive_path: str
    size: int

    @property
    def name(self) -> str:
        """The name it gets in the archive: what cannot be a name there is replaced by ``_``."""
        return legal_name(PurePosixPath(self.archive_path).name)


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that is not a regular file, or cannot be looked at, and why."""

    path: Path
    reason: str
    is_failure: bool


def find(paths: Sequence[Path], *, recursive: bool) -> Iterator[LocalFile | Skipped]:
    """Regular files at and below ``paths``, in order. Links inside folders are not followed.

    Raises:
        ConfigurationError: a path is not there, or is a folder without ``recursive``.
    """
    for path in paths:
        if path.is_dir():
            if not recursive:
                raise ConfigurationError(f"{printable(str(path))} is a folder: add --recursive")
            yield from _find_below(path, PurePosixPath(path.resolve().name))
        else:
            yield LocalFile(path, _text(path.name), _size_of_argument(path))


def _size_of_argument(path: Path) -> int:
    try:
        status = path.stat()
    except OSError as error:
        raise ConfigurationError(f"cannot read {printable(str(path))}: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise ConfigurationError(f"{printable(str(path))} is neither file nor folder")
    return status.st_size


def _find_below(folder: Path, archive_folder: PurePosixPath) -> Iterator[LocalFile | Skipped]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield Skipped(folder, error.strerror or str(error), is_failure=True)
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _find_below(Path(entry.path), archive_folder / _text(entry.name))
        else:
            yield _file(entry, archive_folder)


def _file(entry: os.DirEntry[str], archive_folder: PurePosixPath) -> LocalFile | Skipped:
    path = Path(entry.path)
    if entry.is_symlink():
        return Skipped(path, "a link", is_failure=False)
    if not entry.is_file():
        return Skipped(path, "neither file nor folder", is_failure=False)
    try:
        size = entry.stat().st_size
    except OSError as error:  # removed since the folder was read
        return Skipped(path, error.strerror or str(error), is_failure=True)
    return LocalFile(path, str(archive_folder / _text(entry.name)), size)


def measure(path: Path) -> tuple[str, int]:
    """SHA-256 of a file's bytes, in hex, and their number.

    Raises:
        OSError: it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(READ_SIZE):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def legal_name(name: str) -> str:
    """``name`` as the archive takes it; a name of dots alone gets a letter's place taken by ``_``."""
    legal = _ILLEGAL.sub("_", name)[:MAX_NAME_LENGTH]
    return legal if legal.strip(".") else f"_{legal}"


def file_name(name: str) -> str:
    """``name`` as a file system takes it: cut to 255 bytes where it is longer, before its extension."""
    legal = PurePosixPath(legal_name(name))
    room = MAX_FILE_NAME - len(legal.suffix.encode())
    if room < 1:
        return legal.name.encode()[:MAX_FILE_NAME].decode(errors="ignore")
    return legal.stem.encode()[:room].decode(errors="ignore") + legal.suffix


def printable(text: str) -> str:
    """``text`` for a terminal: bytes that are not UTF-8 and control characters are shown, not sent."""
    return _ILLEGAL_ON_TERMINAL.sub("\N{REPLACEMENT CHARACTER}", _text(text))


_ILLEGAL_ON_TERMINAL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")


def _text(name: str) -> str:
    """A file name as text. Python carries bytes that are not UTF-8 as lone surrogates."""
    return name.encode(errors="surrogateescape").decode(errors="replace")
