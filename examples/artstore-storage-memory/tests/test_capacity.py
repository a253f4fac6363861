"""What this back end has of its own: a limit."""

import pytest

from artstore.core.spec import InsufficientStorageError
from artstore.core.testing import body, read
from artstore_storage_memory.backend import MemoryStorage


async def test_what_does_not_fit_is_refused_and_the_old_object_stays() -> None:
    storage = MemoryStorage(capacity=10)
    await storage.put("other", body(b"12345"))
    await storage.put("key", body(b"old"))

    with pytest.raises(InsufficientStorageError):
        await storage.put("key", body(b"123", b"456"))

    assert await read(storage.get("key")) == b"old"


async def test_an_object_may_replace_one_of_its_size_when_all_is_full() -> None:
    storage = MemoryStorage(capacity=10)
    await storage.put("key", body(b"1234567890"))

    await storage.put("key", body(b"abcdefghij"))

    assert (await storage.usage()).free == 0
