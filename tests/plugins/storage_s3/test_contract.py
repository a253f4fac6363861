"""The ``s3`` storage back end proves every level of the contract on OpenStack Swift."""

from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from artstore.core.spec import StorageBackend
from artstore.core.testing import (
    PresignerContract,
    PutStrangers,
    StorageBudgetContract,
    StorageConcurrencyContract,
    StorageContract,
    StorageCrashContract,
    StorageLieContract,
    StorageOpening,
    StrangersContract,
)
from artstore.plugins.storage_s3.config import MIB
from tests.plugins.storage_s3.conftest import OpenStorage
from tests.s3.servers import S3Server


class TestS3Storage(
    StorageContract,
    StorageConcurrencyContract,
    StorageLieContract,
    StorageBudgetContract,
    PresignerContract,
    StrangersContract,
):
    expected_capabilities = frozenset(
        {"atomic_put", "durable_put", "max_object_size", "presigner", "strangers"}
    )
    time_resolution = timedelta(seconds=2)  # kept in whole seconds, and the answer to a put has no time
    memory_bound = 24 * MIB  # two parts of 5 MiB that are sent, one that is gathered, and the SDK
    open_files_bound = 16  # connections are kept for the next request
    # Small pages and few objects: a service takes its time for each.
    long_listing = 60
    listed_objects = 60

    @pytest.fixture
    async def storage(self, open_storage: OpenStorage) -> AsyncGenerator[StorageBackend, None]:
        async with open_storage(probe=False, parallel_parts=2, max_connections=16, page_size=5) as storage:
            yield storage

    @pytest.fixture
    def put_strangers(self, swift: S3Server, bucket: str) -> PutStrangers:
        return lambda: swift.put_strangers(bucket)


class TestKilledS3Storage(StorageCrashContract):
    kills = 4
    longest_delay = 0.05

    @pytest.fixture
    def opening(self, swift: S3Server, bucket: str) -> StorageOpening:
        return StorageOpening(
            plugin="artstore.plugins.storage_s3.plugin", type="s3", options=swift.options(bucket, probe=False)
        )


@pytest.mark.slow
class TestOftenKilledS3Storage(TestKilledS3Storage):
    kills = 200
