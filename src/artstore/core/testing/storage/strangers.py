"""What a storage back end with the ability ``strangers`` must do besides."""

import asyncio
from collections.abc import Callable

import pytest

from artstore.core.spec import StorageBackend, Strangers
from artstore.core.testing.bodies import body
from artstore.core.testing.storage.subject import StorageSubject, listed, read

PutStrangers = Callable[[], set[str]]


class StrangersContract(StorageSubject):
    """Inherit it beside ``StorageContract``, and override ``put_strangers``."""

    @pytest.fixture
    def strangers(self, storage: StorageBackend) -> Strangers:
        """The ability ``strangers``."""
        strangers = storage.capabilities.strangers
        assert strangers is not None
        return strangers

    @pytest.fixture
    def put_strangers(self, storage: StorageBackend) -> PutStrangers:
        """Puts onto the medium, past the back end, what can be no object; their names. It blocks.

        Of objects, none or ``dir/key`` is there.
        """
        raise NotImplementedError("override this fixture")

    async def test_where_only_objects_are_nothing_is_strange(
        self, storage: StorageBackend, strangers: Strangers
    ) -> None:
        for key in ("key", "dir/key", "dir/.hidden", "deleted/key"):
            await storage.put(key, body(b"content"))
        await storage.delete("deleted/key")

        assert await named(strangers) == {}

    async def test_what_is_no_object_is_named_once_and_told_apart(
        self, storage: StorageBackend, strangers: Strangers, put_strangers: PutStrangers
    ) -> None:
        await storage.put("dir/key", body(b"content"))
        names = await asyncio.to_thread(put_strangers)

        found = await named(strangers)

        assert set(found) == names
        assert all(found.values())
        assert all(name.encode() for name in found), "they are Unicode text"

    async def test_strangers_are_neither_listed_nor_in_the_way(
        self, storage: StorageBackend, strangers: Strangers, put_strangers: PutStrangers
    ) -> None:
        await asyncio.to_thread(put_strangers)

        await storage.put("dir/key", body(b"content"))

        assert await listed(storage) == ["dir/key"]
        assert await read(storage.get("dir/key")) == b"content"


async def named(strangers: Strangers) -> dict[str, str]:
    """What each is, by its name."""
    found = [(each.name, each.what) async for each in strangers.list_strangers()]
    assert len(dict(found)) == len(found), "each is named once"
    return dict(found)
