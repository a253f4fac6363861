"""Fixtures for every test: a blocking call in the event loop fails the test."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """Raise on calls that block the event loop when they come from our packages."""
    with blockbuster_ctx("artstore") as guard:
        # Coverage's tracer takes its own lock, within whatever line it traces.
        guard.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
        yield guard
