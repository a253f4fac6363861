"""Level *concurrent*: racing callers see one whole object or another, never a mixture."""

import asyncio
from typing import Final

from artstore.core.spec import ByteRange, NotFoundError, StorageBackend
from artstore.core.testing.bodies import body, slow_body
from artstore.core.testing.storage.subject import LARGE, MIB, StorageSubject, listed, read

VERSIONS: Final = [bytes([number]) * 300_000 for number in range(20)]


class StorageConcurrencyContract(StorageSubject):
    """Puts, deletions, readers and listings of the same keys at the same time."""

    async def test_racing_puts_leave_one_whole_object(self, storage: StorageBackend) -> None:
        contents = [bytes([number]) * (MIB + number) for number in range(8)]

        infos = await asyncio.gather(*[storage.put("key", slow_body(content)) for content in contents])

        winner = await read(storage.get("key"))
        assert winner in contents
        assert (await storage.head("key")).etag == infos[contents.index(winner)].etag

    async def test_a_reader_sees_whole_objects_while_they_are_replaced(self, storage: StorageBackend) -> None:
        contents = [bytes([number]) * 300_000 for number in range(20)]
        await storage.put("key", body(contents[0]))

        async def put_all() -> None:
            for content in contents:
                await storage.put("key", slow_body(content))

        async def read_until(putting: asyncio.Task[None]) -> None:
            while not putting.done():
                await asyncio.sleep(0)
                assert await read(storage.get("key")) in contents

        async with asyncio.TaskGroup() as group:
            group.create_task(read_until(group.create_task(put_all())))

    async def test_a_put_racing_a_delete_leaves_a_whole_object_or_none(self, storage: StorageBackend) -> None:
        for _ in range(10):
            await asyncio.gather(storage.put("a/key", slow_body(LARGE)), storage.delete("a/key"))

            for key in await listed(storage):
                assert await read(storage.get(key)) == LARGE

    async def test_fifty_puts_at_once_store_fifty_objects(self, storage: StorageBackend) -> None:
        contents = {f"{number % 5}/{number:02}": b"%d" % number * 1000 for number in range(50)}

        await asyncio.gather(*[storage.put(key, slow_body(content)) for key, content in contents.items()])

        assert {key: await read(storage.get(key)) for key in await listed(storage)} == contents

    async def test_a_reader_gets_bytes_of_the_version_it_was_told(self, storage: StorageBackend) -> None:
        etags: dict[str, bytes] = {}

        async def put_all() -> None:
            for content in VERSIONS:
                info = await storage.put("key", slow_body(content))
                etags[info.etag] = content

        seen: list[tuple[str, int, bytes]] = []
        await put_all()
        putting = asyncio.create_task(put_all())
        while not putting.done():
            async with storage.get("key", byte_range=ByteRange(100_000, 100_009)) as reader:
                await asyncio.sleep(0)
                part = b"".join([chunk async for chunk in reader.chunks])
                seen.append((reader.info.etag, reader.info.size, part))
        await putting

        for etag, size, part in seen:
            assert size == len(etags[etag])
            assert part == etags[etag][:10]

    async def test_puts_deletions_and_readers_of_one_key_see_a_whole_object_or_none(
        self, storage: StorageBackend
    ) -> None:
        async def put() -> None:
            for content in VERSIONS[:10]:
                await storage.put("a/key", slow_body(content))

        async def delete() -> None:
            for _ in range(10):
                await storage.delete("a/key")
                await asyncio.sleep(0)

        async def look() -> None:
            for _ in range(20):
                try:
                    assert await read(storage.get("a/key")) in VERSIONS
                except NotFoundError:
                    await asyncio.sleep(0)
                assert await listed(storage) in ([], ["a/key"])

        await asyncio.gather(put(), put(), delete(), delete(), look(), look())

    async def test_a_listing_is_sane_while_everything_changes(self, storage: StorageBackend) -> None:
        stays = [f"{number % 5}/{number:02}" for number in range(30)]
        changing = [f"{key}-changing" for key in stays]
        for key in stays:
            await storage.put(key, body(b""))

        async def change(keys: list[str]) -> None:
            for key in keys:
                await storage.put(key, body(b"content"))
            for key in keys:
                await storage.delete(key)

        changes = [asyncio.create_task(change(changing[part::3])) for part in range(3)]
        for _ in range(10):
            found = await listed(storage)
            assert found == sorted(set(found))
            assert set(stays) <= set(found) <= {*stays, *changing}
        await asyncio.gather(*changes)

        assert await listed(storage) == sorted(stays)

    async def test_cancelled_puts_leave_the_old_object_or_a_whole_new_one(
        self, storage: StorageBackend
    ) -> None:
        await storage.put("key", body(LARGE))
        allowed = {LARGE, *VERSIONS}

        for turns, content in enumerate(VERSIONS):
            putting = asyncio.create_task(storage.put("key", slow_body(content)))
            for _ in range(turns):
                await asyncio.sleep(0)
            putting.cancel()
            await asyncio.wait([putting])

            assert await read(storage.get("key")) in allowed
        assert await listed(storage) == ["key"]

    async def test_many_readers_of_one_object_all_get_it(self, storage: StorageBackend) -> None:
        await storage.put("key", body(LARGE))

        contents = await asyncio.gather(*[read(storage.get("key")) for _ in range(20)])

        assert all(content == LARGE for content in contents)
