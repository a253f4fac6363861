"""Walking the root in the order of keys, with one directory per level in memory."""

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from errno import EACCES
from typing import Final

from artstore.core.spec import InvalidRequestError, NotFoundError, ObjectInfo, validate_key
from artstore.plugins.storage_local.beneath import open_directory
from artstore.plugins.storage_local.reading import NO_OBJECT, describe, file_status
from artstore.plugins.storage_local.root import WORKING_AREA

FOR_REPAIRS: Final = "lost+found/"
"""At the top of a file system: where one is mounted as the root, only its own user may look in there."""


def walk(root: str, *, prefix: str, after: str | None) -> Iterator[ObjectInfo]:
    """Every object below ``root`` whose key starts with ``prefix`` and sorts after ``after``.

    What vanishes meanwhile is passed over. Blocks.
    """
    # A stack of what is still to come, the next one on top. Directories end with "/", which makes them
    # sort as the keys in them do.
    pending = _children(root, "")
    while pending:
        path = pending.pop()
        if not _may_match(path, prefix=prefix, after=after):
            continue
        if path.endswith("/"):
            pending += _children(root, path)
        else:
            with suppress(NotFoundError):
                status = file_status(root, f"{root}/{path}", path)
                yield describe(path, status.st_size, status.st_mtime_ns)


def _children(root: str, directory: str) -> list[str]:
    """What is in ``directory``, in descending order of keys."""
    paths: list[str] = []
    with entries(root, directory) as found:
        for entry in found:
            path = directory + entry.name
            if is_key(path) and path != WORKING_AREA:
                if entry.is_dir(follow_symlinks=False):
                    paths.append(path + "/")
                elif entry.is_file(follow_symlinks=False):
                    paths.append(path)
    return sorted(paths, reverse=True)


@contextmanager
def entries(root: str, directory: str) -> Generator[Iterable[os.DirEntry[str]], None, None]:
    """What is in ``directory``; nothing in one that vanished or is none, such as a link to one."""
    try:
        descriptor = open_directory(root, f"{root}/{directory}".rstrip("/"))
    except OSError as error:
        if error.errno not in NO_OBJECT and not (error.errno == EACCES and directory == FOR_REPAIRS):
            raise
        yield ()
        return
    try:
        with os.scandir(descriptor) as found:
            yield found
    finally:
        os.close(descriptor)


def is_key(path: str) -> bool:
    """Whether a client could ask for ``path``: names that are not UTF-8 are somebody else's files."""
    try:
        validate_key(path)
    except InvalidRequestError:
        return False
    return True


def _may_match(path: str, *, prefix: str, after: str | None) -> bool:
    """Whether the object at ``path``, or one in the directory ``path``, may have to be listed."""
    if path.endswith("/"):
        in_prefix = path.startswith(prefix) or prefix.startswith(path)
        return in_prefix and (after is None or path > after or after.startswith(path))
    return path.startswith(prefix) and (after is None or path > after)
