"""The whole proof: the contract, applied."""

import pytest

from artstore.core.testing import (
    StorageBudgetContract,
    StorageConcurrencyContract,
    StorageContract,
    StorageCrashContract,
    StorageLieContract,
    StorageOpening,
)
from artstore_storage_memory.backend import MemoryStorage

MIB = 1024 * 1024


class TestMemoryStorage(
    StorageContract, StorageConcurrencyContract, StorageLieContract, StorageBudgetContract
):
    expected_capabilities = frozenset({"atomic_put", "max_object_size"})
    memory_bound = 128 * MIB  # it keeps the objects themselves

    @pytest.fixture
    async def storage(self) -> MemoryStorage:
        return MemoryStorage(capacity=64 * MIB)


class TestKilledMemoryStorage(StorageCrashContract):
    @pytest.fixture
    def opening(self) -> StorageOpening:
        return StorageOpening(plugin="artstore_storage_memory.plugin", type="memory")
