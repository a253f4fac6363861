"""Makes the n-th change of the disk a misfortune: the process is killed, the power goes, the disk fails."""

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from errno import EIO, ENOSPC, EROFS
from itertools import count
from pathlib import Path
from threading import RLock, local
from typing import Any, Final, Literal, Self

from artstore.core.audit.spool_files import SpoolFiles
from artstore.plugins.metadata_sqlite.group import Group
from artstore.plugins.storage_local.files import Files

CHANGES: Final = [name for name, found in vars(Files).items() if callable(found) and not name.startswith("_")]


def die_recording(step: int) -> None:
    """Kill this process instead of its ``step``-th append of changes to the audit trail."""
    append, steps = SpoolFiles.append, count(1)

    def append_or_die(files: SpoolFiles, lines: Sequence[bytes]) -> Any:
        if any(b'"change":' in line for line in lines) and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return append(files, lines)

    SpoolFiles.append = append_or_die  # type: ignore[method-assign, assignment]


def die_at(step: int, *, graveyard: Path | None = None) -> None:
    """Kill this process instead of its ``step``-th change of the storage, commit of the catalog, or append to
    its audit trail.

    With ``graveyard``, an empty directory beside the storage, all that was not synced is undone before.
    """
    disk = Files() if graveyard is None else LossyDisk(graveyard)
    steps = count(1)
    lock = RLock()

    def mortal(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if next(steps) == step:
                with lock:
                    if isinstance(disk, LossyDisk):
                        disk.lose()
                    os.kill(os.getpid(), signal.SIGKILL)
            return method(*arguments)

        return call

    def serialised(name: str) -> Callable[..., Any]:
        method = getattr(disk, name)

        def call(_: Files, *arguments: Any) -> Any:
            # One at a time: nothing may change while what is not synced is undone.
            with lock:
                return method(*arguments)

        return call

    if graveyard is not None:
        originals = {name: getattr(Files, name) for name in CHANGES}
        LossyDisk.originals = originals
    for name in CHANGES:
        setattr(Files, name, mortal(serialised(name) if graveyard is not None else getattr(Files, name)))
    Group.commit = mortal(Group.commit)  # type: ignore[method-assign]
    if graveyard is None:  # what becomes of the trail in a power cut is not looked at
        SpoolFiles.append = mortal(SpoolFiles.append)  # type: ignore[method-assign]


Kind = Literal[
    "killed", "killed recording", "power cut", "failed sync", "full disk", "short write", "read-only disk"
]

SYNCS: Final = ("sync", "sync_data", "sync_directory", "sync_file_system")
TAKE_SPACE: Final = ("create", "write", "write_at", "make_directory")
WRITES: Final = ("write", "write_at")
NOT_SYNCS: Final = tuple(name for name in CHANGES if name not in SYNCS)


@dataclass(frozen=True)
class Misfortune:
    """What happens at which change of the disk; ``graveyard`` is an empty directory beside the storage."""

    kind: Kind
    step: int
    graveyard: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        return cls(**told)


class Fault:
    """Lets ``misfortune`` happen to this process; what it survives ends with SIGUSR1.

    * ``failed sync``: the n-th sync fails with EIO;
    * ``full disk``: from the n-th change that takes space on, there is none; half of a write fits;
    * ``short write``: the kernel takes half of the n-th write, and says so;
    * ``read-only disk``: from the n-th change on, there is none, not even to files that are open.
    """

    def __init__(self, misfortune: Misfortune) -> None:
        self.has_happened = False
        self._step = misfortune.step
        self._steps = count(1)
        self._is_healed = False
        self._is_short = local()
        kind = misfortune.kind
        if kind == "killed recording":
            die_recording(misfortune.step)
            return
        if kind in ("killed", "power cut"):
            die_at(misfortune.step, graveyard=Path(misfortune.graveyard) if kind == "power cut" else None)
            return
        signal.signal(signal.SIGUSR1, self._heal)
        names, change = {
            "failed sync": (SYNCS, self._not_synced),
            "full disk": (TAKE_SPACE, self._full),
            "short write": (WRITES, self._short),
            "read-only disk": (NOT_SYNCS, self._read_only),
        }[kind]
        for name in names:
            setattr(Files, name, change(getattr(Files, name)))
        if kind == "short write":
            os.write, os.pwrite = self._cut(os.write), self._cut(os.pwrite)

    def _heal(self, *_: object) -> None:
        self._is_healed = True

    def _is_now(self) -> bool:
        is_now = next(self._steps) == self._step
        self.has_happened |= is_now
        return is_now and not self._is_healed

    def _not_synced(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if self._is_now():
                raise OSError(EIO, "Input/output error")
            return method(*arguments)

        return call

    def _full(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(files: Files, *arguments: Any) -> Any:
            self._is_now()
            if self.has_happened and not self._is_healed and not _is_overwriting(method.__name__, *arguments):
                if method.__name__ in WRITES:
                    descriptor, data, *offset = arguments
                    method(files, descriptor, data[: len(data) // 2], *offset)
                raise OSError(ENOSPC, "No space left on device")
            return method(files, *arguments)

        return call

    def _read_only(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self._is_now()
            if self.has_happened and not self._is_healed:
                raise OSError(EROFS, "Read-only file system")
            return method(*arguments)

        return call

    def _short(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self._is_short.now = self._is_now()
            return method(*arguments)

        return call

    def _cut(self, write: Callable[..., int]) -> Callable[..., int]:
        def call(descriptor: int, data: bytes, *offset: int) -> int:
            if getattr(self._is_short, "now", False) and len(data) > 1:
                self._is_short.now = False
                return write(descriptor, memoryview(data)[: len(data) // 2], *offset)
            return write(descriptor, data, *offset)

        return call


def _is_overwriting(name: str, *arguments: Any) -> bool:
    """What is written over bytes that are there takes no space (but where a file system copies on write)."""
    if name != "write_at":
        return False
    descriptor, data, offset = arguments
    return bool(offset + len(data) <= os.fstat(descriptor).st_size)


class _Change:
    """One change of data (of the file ``where``) or of a directory (of the path ``where``)."""

    def __init__(self, where: object, undo: Callable[[], None]) -> None:
        self.where = where
        self.undo = undo


class LossyDisk:
    """Makes each change, and remembers how to undo it until it is synced.

    As strict as POSIX allows: a name is durable when its directory is synced, bytes when their file is.
    """

    originals: dict[str, Callable[..., Any]]

    def __init__(self, graveyard: Path) -> None:
        self._graveyard = graveyard
        self._numbers = count()
        self._unsynced: list[_Change] = []
        self._open: dict[object, int] = {}

    def lose(self) -> None:
        """Undo what was not synced, the newest change first."""
        for change in reversed(self._unsynced):
            with suppress(FileNotFoundError):
                change.undo()

    def create(self, path: str) -> int:
        descriptor: int = self._do("create", path)
        self._note(os.path.dirname(path), lambda: os.unlink(path))
        return descriptor

    def write(self, descriptor: int, data: bytes) -> None:
        self._note_write(descriptor, os.fstat(descriptor).st_size, len(data))
        self._do("write", descriptor, data)

    def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        self._note_write(descriptor, offset, len(data))
        self._do("write_at", descriptor, data, offset)

    def stamp(self, descriptor: int, modified_ns: int) -> None:
        self._do("stamp", descriptor, modified_ns)

    def sync(self, descriptor: int) -> None:
        self._do("sync", descriptor)
        self._forget(_identity(descriptor))

    def sync_data(self, descriptor: int) -> None:
        self._do("sync_data", descriptor)
        self._forget(_identity(descriptor))

    def sync_directory(self, path: str) -> None:
        self._do("sync_directory", path)
        self._forget(path)

    def sync_file_system(self, path: str) -> None:
        self._do("sync_file_system", path)
        self._unsynced.clear()

    def rename(self, source: str, target: str) -> None:
        replaced = self._bury(target)
        self._do("rename", source, target)

        def undo() -> None:
            os.rename(target, source)
            if replaced is not None:
                os.link(replaced, target)

        self._note(os.path.dirname(target), undo)

    def remove(self, path: str) -> None:
        removed = self._bury(path)
        self._do("remove", path)
        if removed is not None:
            self._note(os.path.dirname(path), lambda: os.link(removed, path))

    def make_directory(self, path: str) -> None:
        self._do("make_directory", path)
        self._note(os.path.dirname(path), lambda: os.rmdir(path))

    def _do(self, name: str, *arguments: Any) -> Any:
        return self.originals[name](Files(), *arguments)

    def _note(self, where: object, undo: Callable[[], None]) -> None:
        self._unsynced.append(_Change(where, undo))

    def _note_write(self, descriptor: int, offset: int, length: int) -> None:
        identity = _identity(descriptor)
        if identity not in self._open:
            # Stays readable and writable whatever becomes of the descriptor and of the name.
            self._open[identity] = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR)
        kept = self._open[identity]
        before, size = os.pread(kept, length, offset), os.fstat(kept).st_size

        def undo() -> None:
            os.pwrite(kept, before, offset)
            os.ftruncate(kept, size)

        self._note(identity, undo)

    def _forget(self, where: object) -> None:
        self._unsynced = [change for change in self._unsynced if change.where != where]

    def _bury(self, path: str) -> str | None:
        grave = str(self._graveyard / str(next(self._numbers)))
        try:
            os.link(path, grave)
        except FileNotFoundError:
            return None
        return grave


def _identity(descriptor: int) -> object:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino
