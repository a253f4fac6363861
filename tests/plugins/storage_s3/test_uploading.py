"""How objects get into a bucket, and what remains when they do not."""

import asyncio
import hashlib
import resource
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from artstore.core.spec import ContentTooLargeError, StorageBackend, UnavailableError
from artstore.core.testing import body, listed, read
from artstore.core.testing.bodies import broken_body, generated_body, stalling_body
from artstore.plugins.storage_s3 import leftovers
from artstore.plugins.storage_s3.config import MIB
from tests.plugins.storage_s3.conftest import OpenStorage
from tests.s3.misbehaving import MisbehavingService, writing
from tests.s3.servers import S3Server

PART: list[bytes] = [bytes([number]) * MIB for number in range(5)]
LARGE = [*PART, *PART, b"an odd end"]
"""Three parts."""


@pytest.mark.parametrize(
    ("chunks", "requests"),
    [([b"small"], ["PUT"]), (PART, ["PUT"]), (LARGE, ["POST", "PUT", "PUT", "PUT", "POST", "HEAD"])],
    ids=["small", "one part", "three parts"],
)
async def test_what_fits_into_a_part_takes_one_request(
    open_storage: OpenStorage, service: MisbehavingService, chunks: list[bytes], requests: list[str]
) -> None:
    async with open_storage(endpoint_url=service.url, probe=False) as storage:
        service.requests.clear()

        await storage.put("key", body(*chunks))

    assert [request.split()[0] for request in service.requests] == requests


async def test_chunks_larger_than_a_part_are_cut(storage: StorageBackend) -> None:
    content = b"".join(LARGE)

    info = await storage.put("key", body(content))

    assert info.size == len(content)
    assert await read(storage.get("key")) == content


async def test_the_digest_is_kept_where_it_was_known_in_time(storage: StorageBackend) -> None:
    sha256 = hashlib.sha256(b"".join(LARGE)).hexdigest()
    small = await storage.put("small", body(b"content"))
    undeclared = await storage.put("undeclared", body(*LARGE))
    await storage.put("declared", body(*LARGE), sha256=sha256)

    assert (await storage.head("small")).sha256 == small.sha256
    assert (await storage.head("declared")).sha256 == undeclared.sha256 == sha256
    assert (await storage.head("undeclared")).sha256 is None


async def test_of_a_failed_upload_no_parts_are_left(
    storage: StorageBackend, swift: S3Server, bucket: str
) -> None:
    with pytest.raises(ConnectionResetError):
        await storage.put("broken", broken_body(*LARGE, error=ConnectionResetError()))
    stalled = asyncio.Event()
    putting = asyncio.create_task(storage.put("cancelled", stalling_body(*LARGE, stalled=stalled)))
    await stalled.wait()
    putting.cancel()
    await asyncio.wait([putting])

    assert swift.uploads(bucket) == []
    assert await listed(storage) == []


async def test_a_part_that_fails_ends_the_upload(
    open_storage: OpenStorage, service: MisbehavingService, swift: S3Server, bucket: str
) -> None:
    async with open_storage(endpoint_url=service.url, probe=False, attempts=1) as storage:
        service.fail("throttled", applies=lambda request: "partNumber" in request.query, once=True)

        with pytest.raises(UnavailableError, match="SlowDown"):
            await storage.put("key", body(*LARGE))

        assert swift.uploads(bucket) == []
        assert await listed(storage) == []


async def test_a_completion_without_an_answer_is_looked_up(
    open_storage: OpenStorage, service: MisbehavingService
) -> None:
    async with open_storage(endpoint_url=service.url, probe=False, attempts=2) as storage:
        service.fail(
            "lost answers", applies=lambda request: request.method == "POST" and "uploadId" in request.query
        )

        await storage.put("key", body(*LARGE))

        service.heal()
        assert await read(storage.get("key")) == b"".join(LARGE)


async def test_leftovers_are_removed_when_they_are_old(
    open_storage: OpenStorage, service: MisbehavingService, swift: S3Server, bucket: str
) -> None:
    """A failed abort leaves the same as a crash."""
    async with open_storage(endpoint_url=service.url, prefix="se-01", probe=False, attempts=1) as storage:
        service.fail("reset", applies=lambda request: request.method == "DELETE")
        with pytest.raises(ConnectionResetError):
            await storage.put("key", broken_body(*LARGE, error=ConnectionResetError()))
    swift.client.create_multipart_upload(Bucket=bucket, Key="se-02/key")

    async with open_storage(prefix="se-01", leftover_age=3600):
        assert len(swift.uploads(bucket)) == 2
    await asyncio.sleep(1.5)  # their start is known in whole seconds, rounded up
    async with open_storage(prefix="se-01", leftover_age=0):
        assert [upload["Key"] for upload in swift.uploads(bucket)] == ["se-02/key"]


async def test_a_listing_of_leftovers_that_does_not_go_on_is_told_and_keeps_nothing_from_working(
    open_storage: OpenStorage, service: MisbehavingService
) -> None:
    service.fail("endless", applies=lambda request: "uploads" in request.query)

    with capture_logs() as logs:
        async with open_storage(endpoint_url=service.url, probe=False, attempts=1) as storage:
            await storage.put("key", body(b"content"))

    [told] = [entry["reason"] for entry in logs if entry["event"] == "leftovers_not_collected"]
    assert told == "the storage does not say how its listing of uploads goes on"


async def test_an_upload_in_progress_is_no_leftover(
    open_storage: OpenStorage, service: MisbehavingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "INTERVAL", 0.01)

    async def slow() -> AsyncIterator[bytes]:
        for chunk in PART * 2:
            yield chunk
        await asyncio.sleep(1.5)  # its start is known in whole seconds, rounded up
        assert "?uploads" in service.requests[-1]
        yield b"end"

    async with open_storage(endpoint_url=service.url, leftover_age=0) as storage:
        info = await storage.put("key", slow())

    assert info.size == 10 * MIB + 3


async def test_more_than_ten_thousand_parts_are_refused(storage: StorageBackend) -> None:
    limit = storage.capabilities.max_object_size

    assert limit == 10_000 * 5 * MIB
    with pytest.raises(ContentTooLargeError):
        await storage.put("key", body(b"content"), size=limit + 1)


async def test_when_every_attempt_was_throttled_it_says_when_to_come_back(
    open_storage: OpenStorage, service: MisbehavingService
) -> None:
    async with open_storage(endpoint_url=service.url, probe=False, attempts=2) as storage:
        service.fail("throttled", applies=writing)

        with pytest.raises(UnavailableError) as refusal:
            await storage.put("key", body(b"content"))

        assert refusal.value.retry_after == 7
        assert [request.split()[0] for request in service.requests] == ["PUT", "PUT", "HEAD"]


@pytest.mark.parametrize(
    "size",
    [pytest.param(256 * MIB, marks=pytest.mark.slow), pytest.param(1024 * MIB, marks=pytest.mark.slow)],
)
async def test_memory_is_flat_however_large_an_object_is(open_storage: OpenStorage, size: int) -> None:
    async with open_storage(part_size=8 * MIB) as storage:
        await storage.put("warm", generated_body(64 * MIB))
        await drain(storage, "warm")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        await storage.put("key", generated_body(size))
        assert await drain(storage, "key") == size

        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 64 * 1024, f"{grown} KiB more"


async def drain(storage: StorageBackend, key: str) -> int:
    """Bytes that are read."""
    async with storage.get(key) as reader:
        return sum([len(chunk) async for chunk in reader.chunks])
