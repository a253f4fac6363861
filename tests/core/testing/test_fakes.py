"""The fakes pass the contracts of what they stand for; so does the faulty storage that has no faults."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import ClassVar

import pytest

from artstore.core.testing import (
    AtomicBatchContract,
    FaultyStorage,
    MemoryStorage,
    StorageBudgetContract,
    StorageConcurrencyContract,
    StorageContract,
    StorageLieContract,
    plugin_context,
)
from artstore.plugins.storage_local.plugin import LocalConfig, open_local

MIB = 1024 * 1024


class TestMemoryStorage(
    StorageContract, StorageConcurrencyContract, StorageLieContract, StorageBudgetContract
):
    expected_capabilities = frozenset({"atomic_put"})
    memory_bound: ClassVar[int] = 80 * MIB  # it keeps the object itself, once in chunks and once joined

    @pytest.fixture
    async def storage(self) -> MemoryStorage:
        return MemoryStorage()


class TestFaultlessStorage(StorageContract, StorageLieContract, AtomicBatchContract):
    expected_capabilities = frozenset(
        {"atomic_batch", "atomic_put", "durable_put", "exclusive_use", "strangers"}
    )

    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncGenerator[FaultyStorage, None]:
        async with open_local(
            LocalConfig(root=tmp_path / "root"), plugin_context("storage_local")
        ) as storage:
            yield FaultyStorage(storage, has_ways_past=False)
