"""Fixtures for every test: a blocking call in the event loop fails the test."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from tests.s3.ceph import running_ceph
from tests.s3.servers import S3Server, running_swift
from tests.services.admin.people import make_people


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """Raise on calls that block the event loop when they come from our packages."""
    with blockbuster_ctx("artstore") as guard:
        # Coverage's tracer takes its own lock, within whatever line it traces.
        guard.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
        # The SDK of S3 reads its models in a thread, in an event loop that has nothing else to do.
        for function in guard.functions.values():
            function.can_block_in("storage_s3/connecting.py", "new_session")
        yield guard


@pytest.fixture(scope="session")
def swift() -> Iterator[S3Server]:
    """OpenStack Swift, which speaks S3; each test takes a bucket of its own."""
    with running_swift() as server:
        yield server


@pytest.fixture(scope="session")
def ceph() -> Iterator[S3Server]:
    """Ceph's object gateway; for tests with the marker ``full``."""
    with running_ceph() as server:
        yield server


@pytest.fixture(scope="session")
def people_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an admin in which people may log in (:mod:`tests.services.admin.people`)."""
    data = tmp_path_factory.mktemp("people-before")
    asyncio.run(make_people(data))
    return data
