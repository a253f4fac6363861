"""The ``local`` storage back end proves the contract."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from artstore.core.spec import StorageBackend
from artstore.core.testing import AtomicBatchContract, StorageContract, plugin_context
from artstore.plugins.storage_local.plugin import LocalConfig, open_local


class TestLocalStorage(StorageContract, AtomicBatchContract):
    expected_capabilities = frozenset({"atomic_batch", "atomic_put", "durable_put", "local_paths"})

    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncGenerator[StorageBackend, None]:
        async with open_local(
            LocalConfig(root=tmp_path / "root"), plugin_context("storage_local")
        ) as storage:
            yield storage


class TestLocalStorageWithoutLog(StorageContract):
    expected_capabilities = frozenset({"atomic_put", "durable_put", "local_paths"})

    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncGenerator[StorageBackend, None]:
        config = LocalConfig(root=tmp_path / "root", commit_log_size=0)
        async with open_local(config, plugin_context("storage_local")) as storage:
            yield storage
