"""What every level of the storage contract asks of an author: a back end, and what it declares of itself."""

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import ClassVar, Final

import pytest

from artstore.core.spec import StorageBackend, StorageReader

MIB: Final = 1024 * 1024
LARGE: Final = bytes(range(256)) * (10 * 1024) + b"an odd end"
"""2.5 MiB: more than any single chunk."""


class StorageSubject:
    """Override ``storage`` with an empty back end, and declare what it is and can do.

    The other attributes are the differences between back ends that the contract tolerates. Whoever sets
    one writes beside it why.
    """

    expected_capabilities: ClassVar[frozenset[str]]
    """As :meth:`Capabilities.names` gives them: an ability that vanishes is a failure, not a skip."""

    longest_key: ClassVar[int] = 1024
    """Bytes of the longest key; less where the back end puts a prefix of its own before each key."""

    time_resolution: ClassVar[timedelta] = timedelta(0)
    """By how much two answers about one object may differ in ``modified_at``."""

    memory_bound: ClassVar[int] = 8 * MIB
    """Bytes by which memory may grow while one object goes in or comes out, however large it is."""

    listing_bound: ClassVar[int] = 2 * MIB
    """Bytes by which memory may grow during a listing, however long it is."""

    open_files_bound: ClassVar[int] = 4
    """Files and connections that may be open for good after many operations more than after a few."""

    @pytest.fixture
    async def storage(self) -> StorageBackend:
        """The back end to prove."""
        raise NotImplementedError("override this fixture")


async def read(context: AbstractAsyncContextManager[StorageReader]) -> bytes:
    """Everything that ``storage.get(…)`` gives."""
    async with context as reader:
        return b"".join([chunk async for chunk in reader.chunks])


async def listed(storage: StorageBackend, prefix: str = "", *, after: str | None = None) -> list[str]:
    """The keys that ``storage.list(…)`` gives."""
    return [info.key async for info in storage.list(prefix, after=after)]


async def only_the_old_object_is_there(storage: StorageBackend) -> None:
    """Of what was refused nothing was kept: ``key`` has the content ``old``, and no other is listed."""
    assert await listed(storage) == ["key"]
    assert await read(storage.get("key")) == b"old"
