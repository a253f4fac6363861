"""Fixtures for every test: a blocking call in the event loop fails the test."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from tests.environments import AUTHORITIES
from tests.s3.ceph import running_ceph
from tests.s3.servers import S3Server, running_swift
from tests.services.admin.people import make_people

LONGEST_FIRST: Final = (
    "tests/architecture/test_walkthroughs.py",
    "tests/e2e/test_main_job.py",
    "tests/services/finalization/",
    "tests/cli/",
    "tests/services/ingester/test_failures.py",
    "tests/e2e/",
    "tests/services/",
)
"""Where tests start processes, or wait for what happens in time."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first: were they last, one worker would be alone with them while others have ended."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    places = (place for place, name in enumerate(LONGEST_FIRST) if item.nodeid.startswith(name))
    return next(places, len(LONGEST_FIRST))


@pytest.fixture(scope="session", autouse=True)
def no_public_authorities() -> Iterator[None]:
    """Trust none that the system trusts: each role would read all of them, which takes it 20 ms."""
    with pytest.MonkeyPatch.context() as environment:
        for name in AUTHORITIES:
            environment.setenv(name, os.devnull)
        yield


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
