"""The contract, run by `artstore plugins check` on a back end that somebody else's objects are in.

Whoever runs this module gives the fixtures ``open_storage`` and ``scratch_prefix``.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from itertools import count
from typing import Final

import pytest

from artstore.core.spec import StorageBackend
from artstore.core.testing.storage.batches import AtomicBatchContract
from artstore.core.testing.storage.behaviour import StorageContract
from artstore.core.testing.storage.lies import StorageLieContract
from artstore.core.testing.storage.presigner import PresignerContract
from artstore.core.testing.storage.scratch import ScratchStorage
from artstore.core.testing.storage.subject import StorageSubject

OpenStorage = Callable[[], AbstractAsyncContextManager[StorageBackend]]
_areas: Final = count(1)


@pytest.fixture(scope="session")
async def opened_storage(open_storage: OpenStorage) -> AsyncGenerator[StorageBackend, None]:
    """The back end, opened once for all checks, as a role would."""
    async with open_storage() as storage:
        yield storage


class OperatorsStorage(StorageSubject):
    """Every check gets an empty part of the back end. Nobody has declared anything: the usual holds."""

    longest_key = 512  # of 1024, the rest is for our prefix and one of the back end's own
    time_resolution = timedelta(seconds=2)

    @pytest.fixture
    async def storage(
        self, opened_storage: StorageBackend, scratch_prefix: str
    ) -> AsyncGenerator[StorageBackend, None]:
        storage = ScratchStorage(opened_storage, f"{scratch_prefix}{next(_areas)}/")
        yield storage
        await remove_all(storage)


class TestBehaviour(OperatorsStorage, StorageContract):
    """What every back end must do."""


class TestBodies(OperatorsStorage, StorageLieContract):
    """What it must not believe."""


class TestBatches(OperatorsStorage, AtomicBatchContract):
    """For a back end with the ability ``atomic_batch``."""


class TestUrls(OperatorsStorage, PresignerContract):
    """For a back end with the ability ``presigner``."""


async def remove_all(storage: StorageBackend) -> None:
    """Remove what is listed now."""
    for key in [info.key async for info in storage.list()]:
        await storage.delete(key)
