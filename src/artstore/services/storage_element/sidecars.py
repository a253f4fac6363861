"""Reads sidecars by the thousand, as building and checking a catalog needs them."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from uuid import UUID

from artstore.core.attributes import FileAttributes
from artstore.core.inspection import SidecarFault
from artstore.core.journal import FileOperation
from artstore.core.naming import SIDECAR_SUFFIX, parse
from artstore.core.spec import ArtStoreError, LocalPaths, NotFoundError, StorageBackend, UnavailableError
from artstore.services.storage_element.catalog_records import Change
from artstore.services.storage_element.identity import require_root
from artstore.services.storage_element.small_objects import READ_LIMIT, read_small

READERS: Final = 16
ATTEMPTS: Final = 3
"""How often a sidecar is asked for that the storage does not give out now."""
PAUSE: Final = 0.5
"""Seconds between two attempts."""

_PIECE: Final = 64 * 1024

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A sidecar that can be used, as it was found.

    Where it was found counts, not where it says it is: a moved archive is still readable.
    """

    attributes: FileAttributes
    change: Change

    @property
    def precedence(self) -> tuple[bool, int]:
        """Which of several sidecars of one file holds: the one in its place, then the newer.

        A copy that somebody made before a file was deleted must not bring it back.
        """
        return self.change.key == self.attributes.storage_key, self.attributes.version


@dataclass(frozen=True, slots=True)
class Unusable:
    """A sidecar that is none of a file of ours, and why."""

    key: str
    fault: SidecarFault
    reason: str

    @property
    def file_id(self) -> UUID | None:
        """Of which file it should be: the id in the name of the data beside it."""
        return id_in(self.key.removesuffix(SIDECAR_SUFFIX))


@dataclass(slots=True)
class SidecarBatch:
    """What became of some keys of sidecars, in no order. What vanished meanwhile is in neither list."""

    last_key: str
    size: int
    found: list[Sidecar] = field(default_factory=list[Sidecar])
    unusable: list[Unusable] = field(default_factory=list[Unusable])


async def read_sidecars(storage: StorageBackend, keys: Sequence[str]) -> SidecarBatch:
    """Read the sidecars at ``keys``, which are in the order of the storage.

    Plain files are read by one thread without handing each over: that takes a third of the time. What
    cannot be read so may be on its way from a commit log, and is asked of the storage.

    Raises:
        UnavailableError: the storage is away, so that nothing can be told of any sidecar.
    """
    batch = SidecarBatch(last_key=keys[-1], size=len(keys))
    if (paths := storage.capabilities.local_paths) is not None:
        keys = await asyncio.to_thread(_read_files, paths, keys, batch)
    try:
        async with asyncio.TaskGroup() as group:
            for start in range(min(READERS, len(keys))):
                group.create_task(_read_objects(storage, keys[start::READERS], batch))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return batch


async def ahead(
    items: AsyncIterator[T], work: Callable[[T], Coroutine[Any, Any, R]]
) -> AsyncGenerator[R, None]:
    """What ``work`` makes of each item; the next one is worked on while the caller uses the last."""
    working: asyncio.Task[R] | None = None
    try:
        async for item in items:
            previous, working = working, asyncio.create_task(work(item))
            if previous is not None:
                yield await previous
        if working is not None:
            yield await working
    finally:
        if working is not None:
            working.cancel()


async def sidecar_keys(
    storage: StorageBackend, *, after: str | None, size: int
) -> AsyncGenerator[list[str], None]:
    """The keys of all sidecars that sort after ``after``, up to ``size`` at a time."""
    keys: list[str] = []
    async for info in storage.list(after=after):
        if info.key.endswith(SIDECAR_SUFFIX):
            keys.append(info.key)
        if len(keys) == size:
            yield keys
            keys = []
    if keys:
        yield keys


def to_sidecar(raw: bytes, key: str) -> Sidecar | Unusable:
    """What ``raw`` says, found at ``key``.

    Raises:
        ArtStoreError: it cannot be read.
    """
    attributes, sidecar = FileAttributes.from_storage(raw, limit=READ_LIMIT)
    data_key = key.removesuffix(SIDECAR_SUFFIX)
    if (other := _named_otherwise(attributes, data_key)) is not None:
        return Unusable(key, "foreign", f"it is of file {attributes.file_id}, beside data of {other}")
    operation: FileOperation = "delete" if attributes.status == "deleted" else "create"
    return Sidecar(attributes, Change.of(operation, attributes, key=data_key, sidecar=sidecar))


def id_in(data_key: str) -> UUID | None:
    """The id in the name of some data. Names of other makers have none."""
    parsed = parse(data_key.rpartition("/")[2])
    return None if parsed is None else parsed.file_id


def _named_otherwise(attributes: FileAttributes, data_key: str) -> UUID | None:
    """The id in the name of the data, where that is another."""
    return None if str(attributes.file_id) in data_key.rpartition("/")[2] else id_in(data_key)


def _read_files(paths: LocalPaths, keys: Sequence[str], batch: SidecarBatch) -> list[str]:
    """Read plain files into ``batch``; the keys of those that cannot be read so. Blocks."""
    left: list[str] = []
    for key in keys:
        try:
            _put(batch, to_sidecar(_content(paths.open(key)), key))
        except (OSError, ArtStoreError):
            left.append(key)
    return left


def _content(descriptor: int) -> bytes:
    """All of a file, or a little more than ``READ_LIMIT`` bytes of one that is larger. Closes it."""
    try:
        content = piece = os.read(descriptor, _PIECE)
        while len(piece) == _PIECE and len(content) <= READ_LIMIT:
            piece = os.read(descriptor, _PIECE)
            content += piece
        return content
    finally:
        os.close(descriptor)


async def _read_objects(storage: StorageBackend, keys: Sequence[str], batch: SidecarBatch) -> None:
    for key in keys:
        if (read := await _read_patiently(storage, key)) is None:
            # It alone is at fault only if the storage is there, and has not just come back.
            await require_root(storage)
            read = await _read_last(storage, key)
        if read is not None:
            _put(batch, read)


async def _read_patiently(storage: StorageBackend, key: str) -> Sidecar | Unusable | None:
    """What is at ``key``, if the storage gives anything out."""
    for _ in range(ATTEMPTS - 1):
        try:
            return await _read(storage, key)
        except UnavailableError:
            await asyncio.sleep(PAUSE)
    return None


async def _read_last(storage: StorageBackend, key: str) -> Sidecar | Unusable | None:
    try:
        return await _read(storage, key)
    except UnavailableError as error:
        return Unusable(key, "unreadable", error.detail)


async def _read(storage: StorageBackend, key: str) -> Sidecar | Unusable | None:
    try:
        return to_sidecar(await read_small(storage, key), key)
    except NotFoundError:
        return None
    except UnavailableError:
        raise
    except ArtStoreError as error:
        return Unusable(key, "unreadable", error.detail)


def _put(batch: SidecarBatch, read: Sidecar | Unusable) -> None:
    if isinstance(read, Sidecar):
        batch.found.append(read)
    else:
        batch.unusable.append(read)
