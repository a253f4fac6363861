"""The ``local`` storage back end proves every level of the contract, with its commit log and without."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from artstore.core.spec import StorageBackend
from artstore.core.testing import (
    AtomicBatchContract,
    StorageBudgetContract,
    StorageConcurrencyContract,
    StorageContract,
    StorageCrashContract,
    StorageLieContract,
    StorageOpening,
    plugin_context,
)
from artstore.plugins.storage_local.plugin import LocalConfig, open_local


class TestLocalStorage(
    StorageContract,
    StorageConcurrencyContract,
    StorageLieContract,
    StorageBudgetContract,
    AtomicBatchContract,
):
    expected_capabilities = frozenset(
        {"atomic_batch", "atomic_put", "durable_put", "exclusive_use", "local_paths"}
    )

    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncGenerator[StorageBackend, None]:
        async with open_local(
            LocalConfig(root=tmp_path / "root"), plugin_context("storage_local")
        ) as storage:
            yield storage


class TestLocalStorageWithoutLog(
    StorageContract, StorageConcurrencyContract, StorageLieContract, StorageBudgetContract
):
    expected_capabilities = frozenset({"atomic_put", "durable_put", "exclusive_use", "local_paths"})

    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncGenerator[StorageBackend, None]:
        config = LocalConfig(root=tmp_path / "root", commit_log_size=0)
        async with open_local(config, plugin_context("storage_local")) as storage:
            yield storage


class TestKilledLocalStorage(StorageCrashContract):
    @pytest.fixture
    def opening(self, tmp_path: Path) -> StorageOpening:
        return StorageOpening(
            plugin="artstore.plugins.storage_local.plugin", type="local", options={"root": tmp_path / "root"}
        )


class TestKilledLocalStorageWithoutLog(StorageCrashContract):
    @pytest.fixture
    def opening(self, tmp_path: Path) -> StorageOpening:
        options = {"root": tmp_path / "root", "commit_log_size": 0}
        return StorageOpening(plugin="artstore.plugins.storage_local.plugin", type="local", options=options)


@pytest.mark.slow
class TestOftenKilledLocalStorage(TestKilledLocalStorage):
    kills = 500


@pytest.mark.slow
class TestOftenKilledLocalStorageWithoutLog(TestKilledLocalStorageWithoutLog):
    kills = 500
