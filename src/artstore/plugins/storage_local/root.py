"""The directory tree of a storage root: staged files become objects in it, durably."""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from errno import EACCES, EISDIR, ESTALE, EXDEV
from itertools import count
from pathlib import Path
from stat import S_ISDIR
from typing import Final, NamedTuple

from artstore.core.spec import ConfigurationError, InvalidRequestError, validate_key
from artstore.plugins.storage_local import beneath, mounts
from artstore.plugins.storage_local.files import Files
from artstore.plugins.storage_local.reading import OPEN_FLAGS
from artstore.plugins.storage_local.segment import Step

WORKING_AREA: Final = ".artstore"
"""First segment of every path that holds no object. After a clean stop it may be deleted."""
STAGING: Final = f"{WORKING_AREA}/staging"
LOG: Final = f"{WORKING_AREA}/log"
LOCK: Final = f"{WORKING_AREA}/lock"

KNOWN_DIRECTORIES: Final = 10_000
"""How many directories are remembered as durable: a year of hourly ones, in about a megabyte."""


class StagedFile(NamedTuple):
    """A file that is being written and is no object yet."""

    descriptor: int
    path: str


class Root:
    """One root, opened by one process. All but ``locate`` blocks: called in worker threads only."""

    def __init__(self, path: Path, files: Files) -> None:
        self.path = os.fspath(path)
        self.files = files
        self._prefix = os.path.join(path, "")
        self._staging = f"{self._prefix}{STAGING}"
        self._log = f"{self._prefix}{LOG}"
        self._lock_path = f"{self._prefix}{LOCK}"
        self._session = secrets.token_hex(8)
        self._numbers = count()
        self._durable: set[str] = set()
        self._resisting: list[str] = []
        self._lock: int | None = None
        self._opened: os.stat_result | None = None
        self._may_change: Callable[[str], bool] = _always

    def open(self) -> None:
        """Make the root usable, and leave alone what is there.

        Raises:
            ConfigurationError: the root cannot be created, read or written, or another process uses it.
        """
        try:
            self._create()
            self._make_durable(self._staging)
            for directory in (self.path, self._staging):
                _require_access(directory)
            self._own()
            self._opened = os.stat(self.path)
        except OSError as error:
            raise ConfigurationError(
                f"storage root {self.path} cannot be used ({error.strerror}): set option root of the local "
                "storage to a directory that this user may read, write and enter"
            ) from error

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)

    def is_locked(self) -> bool:
        """Whether no other process can be at work here: of this host, or of any that has the file system.

        A lock whose file was removed keeps nobody out; nor is one believed of a file system of the network.
        """
        assert self._lock is not None, "is open"
        with suppress(OSError):
            mine, present = os.fstat(self._lock), os.stat(self._lock_path)
            return os.path.samestat(mine, present) and mounts.is_of_this_host(self.path)
        return False

    def take_over(self, may_change: Callable[[str], bool]) -> int:
        """Remove what an earlier process left staged; how many files. ``may_change`` is asked from now on."""
        self._may_change = may_change
        return self._remove_leftovers()

    def require_present(self) -> None:
        """Refuse to change anything where the path of the root leads elsewhere by now.

        Below a medium that was unmounted lies an empty directory, and what is put there is gone when the
        medium is back.

        Raises:
            OSError: it does.
        """
        if self._opened is None:
            return
        present, entered = os.stat(self.path), beneath.entered(self.path)
        if not all(os.path.samestat(self._opened, each) for each in (present, entered or present)):
            raise OSError(ESTALE, "the root is not where it was: is its medium still mounted?")

    def require_right(self, *keys: str) -> None:
        """Refuse to change ``keys`` while that is somebody else's right, or the root is not there.

        Raises:
            OSError: saying which.
        """
        self.require_present()
        self._require_lease(*keys)

    def locate(self, key: str) -> str:
        """The path of the file that holds ``key``.

        Raises:
            InvalidRequestError: ``key`` is not a key or lies in the working area.
        """
        validate_key(key)
        if key.split("/", 1)[0] == WORKING_AREA:
            raise InvalidRequestError(f"key {key!r} lies in {WORKING_AREA}/, which holds no objects")
        return self._prefix + key

    def stage(self) -> StagedFile:
        """A new, empty file in the staging directory. What could not be discarded before is tried again."""
        resisting, self._resisting = self._resisting, []
        for left in resisting:
            self.discard(left)
        path = f"{self._staging}/{self._session}-{next(self._numbers)}"
        try:
            return StagedFile(self.files.create(path), path)
        except FileNotFoundError:
            self._restore(self._staging)
            return StagedFile(self.files.create(path), path)

    def discard(self, path: str) -> None:
        """Remove a file that is no object.

        One that resists, on a disk that is read-only just now, is tried again later.
        """
        try:
            self.files.remove(path)
        except FileNotFoundError:
            pass
        except OSError:
            self._resisting.append(path)

    def publish(self, staged: str, target: str) -> None:
        """Give a staged file its final path, durably."""
        parent = os.path.dirname(target)
        self._make_durable(parent)
        self.require_right(self._key(target))
        try:
            self.files.rename(staged, target)
        except FileNotFoundError:
            self._restore(parent)
            self.files.rename(staged, target)
        self.files.sync_directory(parent)

    def require_places(self, keys: Iterable[str], *, writable: set[str]) -> None:
        """Refuse objects that could not be put in their places; their directories are made if need be.

        ``writable`` are directories that need not be asked again; it gains those that are asked.

        Raises:
            OSError: a directory cannot be made, or is behind a link, or may not be written to, or the place
                of an object is a directory.
        """
        for path in map(self.locate, keys):
            parent = os.path.dirname(path)
            self._make_durable(parent)
            with suppress(FileNotFoundError), beneath.parent(self.path, path) as (directory, name):
                if parent not in writable:
                    _require_writable(directory)
                    writable.add(parent)
                if S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                    raise IsADirectoryError(EISDIR, "a directory lies in the place of an object")

    def apply(self, step: Step) -> None:
        """Do what the commit log says, which makes it durable: nothing is synced here. Idempotent.

        Whoever calls has made sure that the root is present.
        """
        path = self.locate(step.key)
        self._require_lease(step.key)
        if step.content is None:
            with suppress(FileNotFoundError, NotADirectoryError):
                self.files.remove(path)
            return
        self._make_durable(os.path.dirname(path))
        try:
            file = StagedFile(self.files.create(path), path)
        except FileExistsError:
            self._replace(path, step.content, step.modified_ns)
            return
        except FileNotFoundError:
            self._restore(os.path.dirname(path))
            file = StagedFile(self.files.create(path), path)
        try:
            self._fill(file, step.content, step.modified_ns)
        except OSError:
            # What is left of it here is replaced by the next attempt.
            with suppress(OSError):
                self.files.remove(path)
            raise

    def log_files(self) -> list[str]:
        """The segments that an earlier process left."""
        try:
            with os.scandir(self._log) as entries:
                return [entry.path for entry in entries]
        except FileNotFoundError:
            return []

    def read(self, path: str) -> bytes:
        """All of a file below the root."""
        with open(beneath.open_beneath(self.path, path, os.O_RDONLY), "rb") as file:
            return file.read()

    def make_log_directory(self) -> list[str]:
        """Make the directory of the log; paths for its two segments, at which nothing is."""
        self._make_durable(self._log)
        return [f"{self._log}/{self._session}-{next(self._numbers)}" for _ in range(2)]

    def _replace(self, path: str, content: bytes, modified_ns: int) -> None:
        """Put a new file in the place of one. What fails leaves none: each attempt would leave another."""
        if self._has(path, content, modified_ns):
            return
        file = self.stage()
        try:
            self._fill(file, content, modified_ns)
            self.files.rename(file.path, path)
        except OSError:
            self.discard(file.path)
            raise

    def _has(self, path: str, content: bytes, modified_ns: int) -> bool:
        """Whether that very file is there: on a full disk there is no room to write it again."""
        with suppress(OSError), open(beneath.open_beneath(self.path, path, OPEN_FLAGS), "rb") as file:
            status = os.fstat(file.fileno())
            if status.st_size == len(content) and status.st_mtime_ns == modified_ns:
                return file.read() == content
        return False

    def _fill(self, file: StagedFile, content: bytes, modified_ns: int) -> None:
        """Write all of a new file."""
        try:
            self.files.write(file.descriptor, content)
            self.files.stamp(file.descriptor, modified_ns)
        finally:
            os.close(file.descriptor)

    def remove(self, path: str) -> None:
        """Remove an object's file durably. Idempotent; a directory is no object and stays."""
        self.require_right(self._key(path))
        try:
            self.files.remove(path)
        except (NotADirectoryError, IsADirectoryError):
            return
        except FileNotFoundError:
            # Whoever removed it may not have synced the directory yet: that is still owed to our caller.
            pass
        with suppress(FileNotFoundError, NotADirectoryError):
            self.files.sync_directory(os.path.dirname(path))

    def _require_lease(self, *keys: str) -> None:
        if not all(map(self._may_change, keys)):
            raise OSError(ESTALE, "another process may be at work in this root")

    def _key(self, path: str) -> str:
        return path.removeprefix(self._prefix)

    def _restore(self, directory: str) -> None:
        """Make a directory again that somebody removed while we ran, as a sweep of empty ones does."""
        self._durable.clear()
        beneath.forget()
        self._make_durable(directory)

    def _make_durable(self, directory: str) -> None:
        """Create ``directory`` and its parents in the root, each with its entry on stable storage.

        One that exists counts only when this process has synced its entry: another thread, or a process
        that was killed, may have created it without.

        Raises:
            OSError: the disk failed, or another file system is mounted there: no sync of the root reaches it.
        """
        if directory in self._durable or directory == self.path:
            return
        self.require_present()
        parent = os.path.dirname(directory)
        self._make_durable(parent)
        with suppress(FileExistsError):
            self.files.make_directory(directory)
        self.files.sync_directory(parent)
        self._require_same_device(directory)
        if len(self._durable) >= KNOWN_DIRECTORIES:
            self._durable.clear()
        self._durable.add(directory)

    def _require_same_device(self, directory: str) -> None:
        if beneath.status_beneath(self.path, directory).st_dev != os.stat(self.path).st_dev:
            raise OSError(EXDEV, "another file system is mounted below the root")

    def _create(self) -> None:
        path = Path(self.path)
        missing = [directory for directory in (path, *path.parents) if not directory.exists()]
        for directory in reversed(missing):
            self.files.make_directory(str(directory))
            self.files.sync_directory(str(directory.parent))

    def _own(self) -> None:
        """Be the one process that works in this root, until it ends, as far as the file system can tell.

        Another would take what this one is doing for what a crash has left, and remove it.
        """
        self._lock = beneath.open_beneath(self.path, self._lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"storage root {self.path} is in use by another process: stop that, or choose another root"
            ) from None

    def _remove_leftovers(self) -> int:
        with os.scandir(self._staging) as entries:
            leftovers = [entry.path for entry in entries if entry.is_file(follow_symlinks=False)]
        for path in leftovers:
            self.files.remove(path)
        return len(leftovers)


def _always(_: str) -> bool:
    return True


def _require_writable(directory: int) -> None:
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=directory, effective_ids=True):
        raise PermissionError(EACCES, "the directory of an object may not be written to")


def _require_access(directory: str) -> None:
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise PermissionError(None, f"no permission for {directory}")
