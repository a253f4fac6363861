"""Fixity over a bucket of a real S3 service: the same verdicts, without a file of this host."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final
from uuid import UUID

import pytest
from aiohttp import ClientPayloadError

from tests.s3.servers import S3Server
from tests.services.storage_element.harness import Answer, ElementClient, StartElement
from tests.services.storage_element.scrubbing import bad_files, scrubbed

MIB: Final = 1024 * 1024
SMALL: Final = 1000
LARGE: Final = 3 * MIB


class Bucket:
    """The objects of an element, as its service keeps them."""

    def __init__(self, swift: S3Server, name: str) -> None:
        self._client = swift.client
        self._name = name

    async def replace(self, stored: dict[str, Any], content: bytes) -> None:
        await asyncio.to_thread(self._client.put_object, Bucket=self._name, Key=_key(stored), Body=content)

    async def remove(self, stored: dict[str, Any]) -> None:
        await asyncio.to_thread(self._client.delete_object, Bucket=self._name, Key=_key(stored))


def _key(stored: dict[str, Any]) -> str:
    return f"{stored['storage_path']}/{stored['storage_filename']}"


@pytest.fixture
async def kept(swift: S3Server, start: StartElement) -> AsyncGenerator[tuple[ElementClient, Bucket], None]:
    """An element on a bucket, and the bucket."""
    with swift.bucket() as name:
        async with start(storage={"type": "s3", **swift.options(name)}) as element:
            yield element, Bucket(swift, name)


async def download(element: ElementClient, stored: dict[str, Any]) -> Answer:
    return await element.request("GET", f"/api/v1/files/{stored['file_id']}/download")


async def test_a_run_finds_what_is_wrong_in_a_bucket(kept: tuple[ElementClient, Bucket]) -> None:
    element, bucket = kept
    good, changed, shortened, removed = [await element.stored(bytes(SMALL)) for _ in range(4)]
    large = await element.stored(bytes(LARGE))
    await bucket.replace(changed, b"x" + bytes(SMALL - 1))
    await bucket.replace(shortened, bytes(SMALL - 1))
    await bucket.replace(large, bytes(LARGE - 1) + b"x")
    await bucket.remove(removed)

    run = await scrubbed(element)

    assert (run["checked"], run["bad"], run["sample"]) == (5, 4, "found")
    assert await bad_files(element) == {
        changed["file_id"]: "damaged",
        shortened["file_id"]: "damaged",
        large["file_id"]: "damaged",
        removed["file_id"]: "missing",
    }
    assert (await download(element, good)).status == 200


async def test_a_wrong_byte_in_a_bucket_never_arrives_as_a_complete_answer(
    kept: tuple[ElementClient, Bucket],
) -> None:
    element, bucket = kept
    small, large = await element.stored(bytes(SMALL)), await element.stored(bytes(LARGE))
    await bucket.replace(small, bytes(SMALL - 1) + b"x")
    await bucket.replace(large, bytes(LARGE - 1) + b"x")

    answer = await download(element, small)
    with pytest.raises(ClientPayloadError):
        await download(element, large)
    again = await download(element, large)

    assert [(each.status, each.problem) for each in (answer, again)] == [(500, "corrupted")] * 2


async def test_uploading_it_again_mends_a_bad_file_in_a_bucket(kept: tuple[ElementClient, Bucket]) -> None:
    element, bucket = kept
    stored = await element.stored(bytes(SMALL))
    await bucket.remove(stored)
    await scrubbed(element)

    again = await element.put(bytes(SMALL), file_id=UUID(stored["file_id"]))

    assert again.status == 200
    assert await element.download(stored["file_id"]) == bytes(SMALL)
