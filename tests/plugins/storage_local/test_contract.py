"""The ``local`` storage back end proves every level of the contract, with its commit log and without."""

import os
import socket
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from artstore.core.spec import StorageBackend
from artstore.core.testing import (
    AtomicBatchContract,
    PutStrangers,
    StorageBudgetContract,
    StorageConcurrencyContract,
    StorageContract,
    StorageCrashContract,
    StorageLieContract,
    StorageOpening,
    StrangersContract,
    plugin_context,
)
from artstore.plugins.storage_local.plugin import LocalConfig, open_local

AREAS = ("", "dir/", ".artstore/", ".artstore/staging/")


def put_strangers(root: Path) -> set[str]:
    """What lies in a root and is no object, at its top, below a directory and in the working area."""
    (root / "dir").mkdir(exist_ok=True)
    for directory in (root / area for area in AREAS):
        (directory / "link").symlink_to(root.parent)
        os.mkfifo(directory / "pipe")
    (root / "dangling").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(root / "socket"))
    (root / os.fsdecode(b"\xff")).write_bytes(b"")
    (root / "dir" / os.fsdecode(b"\xfe")).mkdir()
    (root / "dir" / os.fsdecode(b"\xfe") / "inside").write_bytes(b"")
    (root / ".artstore/file").write_bytes(b"")
    (root / ".artstore/directory").mkdir()
    (root / ".artstore/staging/directory").mkdir()
    everywhere = {f"{place}{name}" for place in AREAS for name in ("link", "pipe")}
    named = {"dangling", "socket", r"\xff", r"dir/\xfe"}
    return everywhere | named | {f".artstore/{name}" for name in ("file", "directory", "staging/directory")}


class TestLocalStorage(
    StorageContract,
    StorageConcurrencyContract,
    StorageLieContract,
    StorageBudgetContract,
    AtomicBatchContract,
    StrangersContract,
):
    expected_capabilities = frozenset(
        {"atomic_batch", "atomic_put", "durable_put", "exclusive_use", "local_paths", "strangers"}
    )

    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncGenerator[StorageBackend, None]:
        async with open_local(
            LocalConfig(root=tmp_path / "root"), plugin_context("storage_local")
        ) as storage:
            yield storage

    @pytest.fixture
    def put_strangers(self, storage: StorageBackend, tmp_path: Path) -> PutStrangers:
        return lambda: put_strangers(tmp_path / "root")


class TestLocalStorageWithoutLog(
    StorageContract, StorageConcurrencyContract, StorageLieContract, StorageBudgetContract
):
    expected_capabilities = frozenset(
        {"atomic_put", "durable_put", "exclusive_use", "local_paths", "strangers"}
    )

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
