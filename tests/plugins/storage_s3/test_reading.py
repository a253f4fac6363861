"""How objects come out of a bucket: one version, whole, or an error."""

import pytest

from artstore.core.spec import (
    ByteRange,
    CorruptedError,
    NotFoundError,
    StorageBackend,
    StorageReader,
    UnavailableError,
)
from artstore.core.testing import body, listed, read
from artstore.plugins.storage_s3.config import MIB
from tests.plugins.storage_s3.conftest import OpenStorage
from tests.s3.misbehaving import MisbehavingService, reading
from tests.s3.servers import S3Server

CONTENT = bytes(range(256)) * (12 * 1024)
"""3 MiB."""


async def test_an_answer_that_is_cut_off_goes_on_where_it_ended(
    open_storage: OpenStorage, service: MisbehavingService
) -> None:
    async with open_storage(endpoint_url=service.url, probe=False) as storage:
        await storage.put("key", body(CONTENT))
        service.fail("cut", applies=reading, once=True)

        assert await read(storage.get("key")) == CONTENT

        assert len(service.requests) == 2


@pytest.mark.parametrize("ignored", [[], ["if-match"]], ids=["conditions honoured", "conditions ignored"])
async def test_two_versions_are_never_mixed(
    open_storage: OpenStorage, service: MisbehavingService, ignored: list[str]
) -> None:
    service.ignored_headers = ignored
    async with open_storage(endpoint_url=service.url, probe=False) as storage:
        await storage.put("key", body(CONTENT))
        service.fail("cut", applies=reading, once=True)

        async with storage.get("key") as reader:
            await anext(reader.chunks)
            await storage.put("key", body(bytes(len(CONTENT))))
            with pytest.raises(UnavailableError, match="replaced"):
                await rest(reader)


async def test_an_object_that_vanishes_while_it_is_read_is_an_error(
    open_storage: OpenStorage, service: MisbehavingService
) -> None:
    async with open_storage(endpoint_url=service.url, probe=False) as storage:
        await storage.put("key", body(CONTENT))
        service.fail("cut", applies=reading, once=True)

        async with storage.get("key") as reader:
            await storage.delete("key")
            with pytest.raises(UnavailableError, match="deleted"):
                await rest(reader)


@pytest.mark.parametrize("content", [b"content", CONTENT], ids=["small", "large"])
async def test_a_wrong_byte_is_told_before_the_last_byte_is_given(
    open_storage: OpenStorage, service: MisbehavingService, content: bytes
) -> None:
    async with open_storage(endpoint_url=service.url, probe=False) as storage:
        await storage.put("key", body(content))
        service.fail("damaged", applies=reading)
        given: list[bytes] = []

        async with storage.get("key") as reader:
            with pytest.raises(CorruptedError):
                await rest(reader, given)

        assert sum(map(len, given)) < len(content)


async def test_a_range_that_is_ignored_is_told(
    open_storage: OpenStorage, service: MisbehavingService
) -> None:
    async with open_storage(endpoint_url=service.url, probe=False) as storage:
        await storage.put("key", body(CONTENT))
        service.fail("ignored ranges")

        with pytest.raises(UnavailableError, match="another part"):
            await read(storage.get("key", byte_range=ByteRange(MIB, MIB + 9)))
        assert await read(storage.get("key", byte_range=ByteRange(0, 2**40))) == CONTENT


async def test_what_somebody_removed_from_the_bucket_is_not_found(
    storage: StorageBackend, swift: S3Server, bucket: str
) -> None:
    await storage.put("key", body(CONTENT))
    swift.client.delete_object(Bucket=bucket, Key="key")

    with pytest.raises(NotFoundError, match="'key'"):
        await read(storage.get("key"))


async def test_a_listing_out_of_order_is_told(open_storage: OpenStorage, service: MisbehavingService) -> None:
    async with open_storage(endpoint_url=service.url, probe=False) as storage:
        for key in ("a", "b"):
            await storage.put(key, body(b"content"))
        service.fail("unsorted")

        with pytest.raises(UnavailableError, match="order"):
            await listed(storage)


@pytest.mark.parametrize("fault", ["login page", "garbage", "without dates", "endless", "moved", "forbidden"])
async def test_what_is_no_listing_is_no_bucket_without_objects(
    open_storage: OpenStorage, service: MisbehavingService, fault: str
) -> None:
    async with open_storage(endpoint_url=service.url, probe=False, attempts=1) as storage:
        await storage.put("key", body(b"content"))
        service.fail(fault)

        with pytest.raises(UnavailableError):
            await listed(storage)


@pytest.mark.parametrize("fault", ["login page", "garbage", "moved"])
async def test_what_is_no_answer_of_s3_is_no_object(
    open_storage: OpenStorage, service: MisbehavingService, fault: str
) -> None:
    async with open_storage(endpoint_url=service.url, probe=False, attempts=1) as storage:
        await storage.put("key", body(b"content"))
        service.fail(fault)

        for attempt in (read(storage.get("key")), storage.head("key"), storage.put("new", body(b"content"))):
            with pytest.raises(UnavailableError):
                await attempt

        service.heal()
        assert await listed(storage) == ["key"]


async def test_a_service_that_has_gone_is_unavailable(
    open_storage: OpenStorage, service: MisbehavingService
) -> None:
    async with open_storage(endpoint_url=service.url, probe=False, attempts=1) as storage:
        service.fail("reset")

        with pytest.raises(UnavailableError):
            await storage.usage()
        with pytest.raises(UnavailableError):
            await storage.delete("key")
        with pytest.raises(UnavailableError):
            await listed(storage)


async def rest(reader: StorageReader, given: list[bytes] | None = None) -> None:
    """Read to the end; what came before an error is in ``given``."""
    async for chunk in reader.chunks:
        if given is not None:
            given.append(chunk)
