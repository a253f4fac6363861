"""An element whose root is a bucket: what one on a directory does, and the bad days of a network."""

import asyncio
import random
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from aiohttp import ClientError, web

from artstore.core.ids import new_file_id
from artstore.core.spec import UnavailableError
from artstore.core.testing import IssuerServer
from artstore.services.storage_element import sidecars
from tests.s3.misbehaving import MisbehavingService, misbehaving_service, reading
from tests.s3.servers import S3Server
from tests.services.admin.harness import eventually
from tests.services.storage_element.harness import (
    TEMPORARY,
    ElementClient,
    Options,
    StartElement,
    lose_catalog,
    sha256,
)
from tests.services.storage_element.processes import element_process

MIB = 1024 * 1024
LARGE = random.Random(3).randbytes(11 * MIB)
"""Three parts."""
IMPATIENT: Options = {"lease_ttl": 5}
"""So long the next waits for an element that was killed."""


@pytest.fixture
async def service(swift: S3Server) -> AsyncGenerator[MisbehavingService, None]:
    async with misbehaving_service(swift) as service:
        yield service


async def test_files_are_stored_changed_served_and_deleted(
    start: StartElement, in_bucket: Options, swift: S3Server, bucket: str
) -> None:
    async with start(storage=in_bucket) as element:
        small = await element.stored(b"content", name="small.txt", **TEMPORARY)
        large = await element.stored(LARGE, name="large.bin", **TEMPORARY)
        changed = await element.request(
            "PATCH", f"/api/v1/files/{small['file_id']}", json={"tags": ["reviewed"]}
        )
        partial = await element.request(
            "GET", f"/api/v1/files/{large['file_id']}/download", headers={"Range": "bytes=6000000-6000009"}
        )
        deleted = await element.request("DELETE", f"/api/v1/files/{small['file_id']}")

        assert (changed.status, deleted.status) == (200, 200)
        assert await element.download(large["file_id"]) == LARGE
        assert (partial.status, partial.body) == (206, LARGE[6_000_000:6_000_010])
        assert await element.file_ids() == [large["file_id"]]
        names = {name.rpartition("/")[2] for name in swift.names(bucket)}
        assert {"ARTSTORE.md", "element.json", large["storage_filename"]} <= names
        assert small["storage_filename"] not in names


async def test_a_lost_catalog_is_built_again_from_the_bucket(
    start: StartElement, in_bucket: Options, tmp_path: Path
) -> None:
    async with start(storage=in_bucket) as element:
        stored = [await element.stored(b"%d" % number, name=f"{number}.txt") for number in range(30)]
        before = (await element.get("/api/v1/files", limit=100))["items"]
    lose_catalog(tmp_path)

    async with start(storage=in_bucket) as element:
        assert (await element.get("/api/v1/files", limit=100))["items"] == before
        assert await element.download(stored[7]["file_id"]) == b"7"


async def test_an_outage_while_a_catalog_is_built_from_the_bucket_costs_no_file(
    start: StartElement,
    in_bucket: Options,
    service: MisbehavingService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sidecars, "PAUSE", 0.01)
    storage = {**in_bucket, "endpoint_url": service.url, "attempts": 1}
    async with start(storage=storage) as element:
        files = {(await element.stored(b"%d" % number))["file_id"] for number in range(3)}
        service.fail("throttled", applies=FromTheFirstSidecar())
        await element.request("POST", "/api/v1/catalog/rebuild", json={})
        await eventually(lambda: has_failed(element))
        service.heal()
        assert set(await element.file_ids()) == files
    lose_catalog(tmp_path)
    service.fail("throttled", applies=FromTheFirstSidecar())

    with pytest.raises(UnavailableError, match="SlowDown"):
        async with start(storage=storage):
            pass

    service.heal()
    async with start(storage=storage) as element:
        assert set(await element.file_ids()) == files


class FromTheFirstSidecar:
    """Every request since somebody has asked for a sidecar."""

    def __init__(self) -> None:
        self._has_begun = False

    def __call__(self, request: web.Request) -> bool:
        self._has_begun |= request.path.endswith(".attr.json")
        return self._has_begun


async def has_failed(element: ElementClient) -> bool:
    status = await element.get("/api/v1/catalog/rebuild")
    return (status["state"], status.get("reason")) == ("failed", "the storage failed (SlowDown)")


async def test_after_a_kill_acknowledged_files_are_whole_and_nothing_else_is_left(
    start: StartElement,
    in_bucket: Options,
    issuer: IssuerServer,
    tmp_path: Path,
    swift: S3Server,
    bucket: str,
) -> None:
    contents = [random.Random(number).randbytes(size) for number, size in enumerate((0, 10_000, 6 * MIB) * 8)]
    acknowledged: dict[str, bytes] = {}
    enough = asyncio.Event()

    async with element_process(tmp_path, issuer.jwks_url, storage=in_bucket, element=IMPATIENT) as process:

        async def store(content: bytes) -> None:
            answer = await process.client.put(content, **TEMPORARY)
            acknowledged[answer.json()["attributes"]["file_id"]] = content
            if len(acknowledged) == 6:
                enough.set()

        uploads = [asyncio.create_task(store(content)) for content in contents]
        await enough.wait()
        await process.kill()
        await asyncio.gather(*uploads, return_exceptions=True)

    async with start(storage=in_bucket) as element:
        listed = await element.file_ids()
        assert acknowledged.keys() <= set(listed)
        for file_id in listed:
            content = await element.download(file_id)
            assert content in contents
            assert content == acknowledged.get(file_id, content)
        described = [name for name in swift.names(bucket) if name.endswith(".attr.json")]
        data = [name for name in swift.names(bucket, "se-01/2") if not name.endswith(".attr.json")]
        assert sorted(f"{name}.attr.json" for name in data) == sorted(described)
        assert len(data) == len(listed)


async def test_while_the_service_is_away_nothing_is_acknowledged_and_then_it_goes_on(
    start: StartElement, in_bucket: Options, service: MisbehavingService
) -> None:
    storage = {**in_bucket, "endpoint_url": service.url, "attempts": 1}
    async with start(storage=storage) as element:
        stored = await element.stored(b"content")
        service.fail("throttled")
        refused = await element.put(b"content")
        unread = await element.request("GET", f"/api/v1/files/{stored['file_id']}/download")
        service.heal()

        assert (refused.status, refused.problem) == (503, "unavailable")
        assert "Retry-After" in refused.headers
        assert unread.status == 503
        assert await element.download(stored["file_id"]) == b"content"
        assert (await element.put(b"content")).status == 201


async def test_an_upload_whose_answer_is_lost_is_acknowledged_once(
    start: StartElement, in_bucket: Options, service: MisbehavingService
) -> None:
    storage = {**in_bucket, "endpoint_url": service.url}
    async with start(storage=storage) as element:
        service.fail("lost answers", applies=makes_an_object)
        file_id = new_file_id()

        assert (await element.put(LARGE, file_id=file_id)).status == 201

        service.heal()
        assert await element.file_ids() == [str(file_id)]
        assert await element.download(str(file_id)) == LARGE


async def test_what_the_service_cuts_or_damages_never_arrives_as_a_complete_answer(
    start: StartElement, in_bucket: Options, service: MisbehavingService
) -> None:
    storage = {**in_bucket, "endpoint_url": service.url}
    async with start(storage=storage) as element:
        files = {sha256(content): await element.stored(content) for content in (b"content", LARGE)}
        for fault in ("cut", "damaged", "ignored ranges"):
            service.fail(fault, applies=reading)
            for digest, stored in files.items():
                received = await whatever_arrives(element, stored["file_id"])
                assert received is None or sha256(received) == digest


async def test_a_file_that_the_bucket_has_lost_is_told(
    start: StartElement, in_bucket: Options, swift: S3Server, bucket: str
) -> None:
    async with start(storage=in_bucket) as element:
        stored = await element.stored(b"content")
        [name] = [name for name in swift.names(bucket) if name.endswith(stored["storage_filename"])]
        swift.client.delete_object(Bucket=bucket, Key=name)

        answer = await element.request("GET", f"/api/v1/files/{stored['file_id']}/download")

        assert (answer.status, answer.problem) == (500, "corrupted")


def makes_an_object(request: web.Request) -> bool:
    """A file's; not a part, nor the beginning of parts."""
    if "/se-01/2" not in request.path:
        return False
    if request.method == "PUT":
        return "partNumber" not in request.query
    return request.method == "POST" and "uploadId" in request.query


async def whatever_arrives(element: ElementClient, file_id: str) -> bytes | None:
    """``None`` when the answer is not a complete 200."""
    try:
        answer = await element.request("GET", f"/api/v1/files/{file_id}/download")
    except (OSError, ClientError):
        return None
    return answer.body if answer.status == 200 else None
