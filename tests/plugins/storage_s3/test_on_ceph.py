"""The ``s3`` storage back end proves the contract on Ceph's object gateway, too."""

from collections.abc import AsyncGenerator, Iterator
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from artstore.core.spec import StorageBackend
from artstore.core.testing import (
    PresignerContract,
    PutStrangers,
    StorageBudgetContract,
    StorageConcurrencyContract,
    StorageContract,
    StorageLieContract,
    StrangersContract,
    plugin_context,
)
from artstore.plugins.storage_s3.config import MIB, S3Config
from artstore.plugins.storage_s3.plugin import open_s3
from tests.s3.servers import S3Server

pytestmark = pytest.mark.full


@pytest.fixture
def bucket(ceph: S3Server) -> Iterator[str]:
    with ceph.bucket() as bucket:
        yield bucket


class TestS3StorageOnCeph(
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
    listing_bound = 8 * MIB  # a page of a thousand entries, as XML and parsed
    open_files_bound = 16  # connections are kept for the next request

    @pytest.fixture
    async def storage(self, ceph: S3Server, bucket: str) -> AsyncGenerator[StorageBackend, None]:
        config = S3Config.model_validate(
            ceph.options(bucket, part_size=5 * MIB, parallel_parts=2, max_connections=16)
        )
        async with open_s3(config, plugin_context("storage_s3")) as storage:
            yield storage

    @pytest.fixture
    def put_strangers(self, ceph: S3Server, bucket: str) -> PutStrangers:
        return lambda: ceph.put_strangers(bucket)


async def test_what_ceph_honours_is_found_out(ceph: S3Server, bucket: str) -> None:
    config = S3Config.model_validate(ceph.options(bucket))

    with capture_logs() as logs:
        async with open_s3(config, plugin_context("storage_s3")):
            pass

    told = {line["event"]: line for line in logs}
    assert told["s3_checks_uploads"]["by"] in ("sha256", "md5")  # by release
    assert told["s3_conditional_writes"]["honoured"]
    assert told["s3_takes_multipart_uploads"]["smallest_part"] == "5 MiB"
