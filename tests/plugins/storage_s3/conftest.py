"""A bucket of a real service for each test, and the back end on it."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from artstore.core.spec import StorageBackend
from artstore.core.testing import plugin_context
from artstore.plugins.storage_s3.config import MIB, S3Config
from artstore.plugins.storage_s3.plugin import open_s3
from tests.s3.misbehaving import MisbehavingService, misbehaving_service
from tests.s3.servers import S3Server

OpenStorage = Callable[..., AbstractAsyncContextManager[StorageBackend]]


@pytest.fixture
def bucket(swift: S3Server) -> Iterator[str]:
    with swift.bucket() as bucket:
        yield bucket


@pytest.fixture
def open_storage(swift: S3Server, bucket: str) -> OpenStorage:
    """Opens the bucket; options by keyword."""

    def opened(**options: Any) -> AbstractAsyncContextManager[StorageBackend]:
        config = S3Config.model_validate(swift.options(bucket, **{"part_size": 5 * MIB, **options}))
        return open_s3(config, plugin_context("storage_s3"))

    return opened


@pytest.fixture
async def storage(open_storage: OpenStorage) -> AsyncGenerator[StorageBackend, None]:
    async with open_storage() as storage:
        yield storage


@pytest.fixture
async def service(swift: S3Server) -> AsyncGenerator[MisbehavingService, None]:
    """In front of Swift; it behaves until it is told otherwise."""
    async with misbehaving_service(swift) as service:
        yield service
