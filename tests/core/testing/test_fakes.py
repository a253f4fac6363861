"""The fakes pass the contracts of what they stand for."""

from typing import ClassVar

import pytest

from artstore.core.testing import MemoryStorage, StorageContract


class TestMemoryStorage(StorageContract):
    expected_capabilities = frozenset({"atomic_put"})

    # It keeps the object itself, once in chunks and once joined.
    memory_bound: ClassVar[int] = 80 * 1024 * 1024

    @pytest.fixture
    async def storage(self) -> MemoryStorage:
        return MemoryStorage()
