"""What lies in the root and can be no object: nothing else of the back end would tell of it."""

import os
from collections.abc import Iterator
from contextlib import suppress
from stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK
from typing import Final

from artstore.core.spec import Stranger
from artstore.plugins.storage_local.listing import entries, is_key
from artstore.plugins.storage_local.root import LOCK, LOG, STAGING, WORKING_AREA

_TYPES: Final = {
    S_IFREG: "a file",
    S_IFDIR: "a directory",
    S_IFLNK: "a symbolic link",
    S_IFIFO: "a named pipe",
    S_IFSOCK: "a socket",
    S_IFCHR: "a device",
    S_IFBLK: "a device",
}


def find_strangers(root: str) -> Iterator[Stranger]:
    """All of them, a directory at a time. What is in a directory that is one itself is not told. Blocks."""
    pending = [""]
    while pending:
        strangers, inner = _look_into(root, pending.pop())
        yield from strangers
        pending += inner


def _look_into(root: str, directory: str) -> tuple[list[Stranger], list[str]]:
    """The strangers of a directory, and the directories in it that have to be looked into."""
    strangers, inner = list[Stranger](), list[str]()
    with entries(root, directory) as found:
        for entry in found:
            path = directory + entry.name
            if _belongs(entry, path):
                inner += [f"{path}/"] if entry.is_dir(follow_symlinks=False) else ()
            else:
                with suppress(FileNotFoundError):  # what has gone meanwhile is no matter
                    strangers.append(_describe(entry, path))
    return strangers, inner


def _belongs(entry: os.DirEntry[str], path: str) -> bool:
    """Whether it can hold objects, or is one, or is the back end's own."""
    directory = path.rpartition("/")[0]
    is_file = entry.is_file(follow_symlinks=False)
    is_directory = entry.is_dir(follow_symlinks=False)
    if directory == WORKING_AREA:
        return is_directory if path in (STAGING, LOG) else is_file and path == LOCK
    return is_key(path) and (is_file or (is_directory and directory not in (STAGING, LOG)))


def _describe(entry: os.DirEntry[str], path: str) -> Stranger:
    name = os.fsencode(path).decode(errors="backslashreplace")
    what = _TYPES[S_IFMT(entry.stat(follow_symlinks=False).st_mode)]
    return Stranger(name, what if is_key(path) else f"{what} whose name is no key")
