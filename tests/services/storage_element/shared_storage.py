"""Storages that several hosts share: nothing there tells a process that it is alone."""

import fcntl
from dataclasses import replace

from artstore.core.spec import Capabilities, StorageBackend
from artstore.plugins.storage_local import mounts
from tests.services.storage_element.faulty_storage import FaultyStorage
from tests.services.storage_element.harness import WrapStorage

NETWORK: str = "network file system"
OBJECTS: str = "object store"


class ObjectStore(FaultyStorage):
    """Whole objects, and nothing else: no lock, no batches, no files."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(atomic_put=True, durable_put=True)


class NetworkFileSystem(FaultyStorage):
    """Files whose lock keeps nobody out."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, local_paths=None)


def become(kind: str) -> WrapStorage:
    """Make the local storage of this process one of ``kind``; what wraps it."""
    if not kind:
        return _itself
    fcntl.flock = _lock_nothing
    mounts.OF_ONE_HOST = frozenset()  # type: ignore[misc]
    return ObjectStore if kind == OBJECTS else NetworkFileSystem


def _itself(storage: StorageBackend) -> StorageBackend:
    return storage


def _lock_nothing(*_: object) -> None:
    """As flock(2) on a network file system that is mounted without locks."""
