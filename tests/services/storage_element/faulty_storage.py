"""Ways to put a faulty storage under a running element."""

from collections.abc import Callable

from artstore.core.spec import StorageBackend
from artstore.core.testing import Fault, FaultyStorage, down, no_fault

__all__ = ["Fault", "Faults", "FaultyStorage", "down", "no_fault", "with_free_space"]


def with_free_space(free: int) -> Callable[[StorageBackend], FaultyStorage]:
    """Makes a storage say that it has so many bytes in all, and all of them free."""

    def wrap(storage: StorageBackend) -> FaultyStorage:
        limited = FaultyStorage(storage)
        limited.free = free
        return limited

    return wrap


class Faults:
    """The storage of a running element, and the faults it shall have."""

    def __init__(self, *, has_batches: bool) -> None:
        self.storage: FaultyStorage
        self._has_batches = has_batches

    def wrap(self, storage: StorageBackend) -> FaultyStorage:
        self.storage = FaultyStorage(storage, has_batches=self._has_batches)
        return self.storage

    def heal(self) -> None:
        self.storage.heal()
