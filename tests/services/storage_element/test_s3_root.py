"""A bucket as the root of an element: one changes it at a time, and collects what may go, and no more."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import pytest

from artstore.core.testing import IssuerServer
from tests.s3.servers import S3Server
from tests.services.storage_element.clocks import FakeClock
from tests.services.storage_element.harness import TEMPORARY, ElementClient, Options, StartElement
from tests.services.storage_element.processes import ElementProcess, element_process

ONE_DAY: Final = {**TEMPORARY, "ttl_days": 1}
StartProcess = Callable[[str], AbstractAsyncContextManager[ElementProcess]]


@pytest.fixture
def start_process(issuer: IssuerServer, in_bucket: Options, tmp_path: Path) -> StartProcess:
    """Starts an element in the bucket, with a catalog of its own: as on a host of its own."""

    def start(name: str) -> AbstractAsyncContextManager[ElementProcess]:
        data = tmp_path / name
        data.mkdir()
        return element_process(data, issuer.jwks_url, storage=in_bucket, element={"lease_ttl": 2})

    return start


def versions(swift: S3Server, bucket: str) -> dict[str, str]:
    """What is in the bucket, but for the lease and the clock, which live."""
    listing = swift.client.list_objects_v2(Bucket=bucket).get("Contents", ())
    found = {each["Key"]: each["ETag"] for each in listing}
    return {name: etag for name, etag in found.items() if not name.endswith(("/lease.json", "/clock.json"))}


async def test_a_second_element_on_a_prefix_is_refused_and_the_first_goes_on(
    start_process: StartProcess,
) -> None:
    async with start_process("first") as first:
        with pytest.raises(ProcessLookupError, match=rf"root is in use by process {first.pid} on "):
            async with start_process("second"):
                pass

        await first.client.stored(b"data")


async def test_one_that_was_taken_over_while_it_was_paused_changes_nothing_in_the_bucket(
    start_process: StartProcess, swift: S3Server, bucket: str
) -> None:
    async with start_process("first") as first:
        files = [await first.client.stored(b"before", **TEMPORARY) for _ in range(2)]
        url, other_url = [f"/api/v1/files/{stored['file_id']}" for stored in files]
        first.pause()
        async with start_process("second") as second:
            changed = await second.client.request("PATCH", url, json={"description": "by the second"})
            here = await asyncio.to_thread(versions, swift, bucket)
            first.go_on()

            refused = [
                await first.client.put(b"late"),
                await first.client.request("PATCH", other_url, json={"description": "by the first"}),
                await first.client.request("DELETE", other_url),
            ]

            assert changed.status == 200
            assert [answer.status for answer in refused] == [503] * 3
            assert await first.client.download(files[0]["file_id"]) == b"before"
            assert await first.stop() == 0
            assert await asyncio.to_thread(versions, swift, bucket) == here
            assert (await second.client.get(url))["description"] == "by the second"
            assert (await second.client.put(b"after")).status == 201


async def collected(element: ElementClient, **order: Any) -> dict[str, Any]:
    """The report of a collection, which removes unless it is a dry run."""
    answer = await element.request("POST", "/api/v1/gc", json={"dry_run": False, **order})
    report: dict[str, Any] = answer.json()
    return report


def numbers(report: dict[str, Any], what: str) -> dict[str, int]:
    """How many were found, or removed, by reason."""
    return {reason: found[what] for reason, found in report["found"].items() if found[what]}


async def test_only_what_may_go_is_collected_from_a_bucket_and_may_be_wanted_back_for_a_while(
    start: StartElement, in_bucket: Options, swift: S3Server, bucket: str
) -> None:
    clock, settings = FakeClock(), {"interval": 0, "removal_delay": 10}
    async with start(clock=clock, storage=in_bucket, element={"collection": settings}) as element:
        files = {
            name: await element.stored(name.encode(), **ONE_DAY) for name in ("held", "expired", "wanted")
        }
        files["permanent"] = await element.stored(b"permanent")
        urls = {name: f"/api/v1/files/{stored['file_id']}" for name, stored in files.items()}
        await element.request("POST", f"{urls['held']}/holds", json={"reason": "case"})

        clock.advance(days=3)
        before = await asyncio.to_thread(versions, swift, bucket)
        dry = await collected(element, dry_run=True)
        untouched = await asyncio.to_thread(versions, swift, bucket)
        expired = await collected(element)
        undeleted = await element.request("POST", f"{urls['wanted']}/undelete")
        await element.request("POST", f"{urls['wanted']}/holds", json={"reason": "wanted back"})
        clock.advance(days=11)
        later = await collected(element)
        clock.advance(days=91)
        purged = await collected(element)

        names = " ".join(await asyncio.to_thread(swift.names, bucket))
        assert numbers(dry, "found") == numbers(expired, "removed") == {"expired": 2}
        assert untouched == before
        assert undeleted.status == 200
        assert numbers(later, "removed") == {"removal": 1}
        assert numbers(purged, "removed") == {"tombstone": 1}
        assert files["expired"]["file_id"] not in names
        for name in ("held", "wanted", "permanent"):
            assert await element.download(files[name]["file_id"]) == name.encode()


async def test_a_collection_that_would_empty_a_bucket_removes_nothing(
    start: StartElement, in_bucket: Options, swift: S3Server, bucket: str
) -> None:
    clock, settings = FakeClock(), {"interval": 0, "limit_files": 2, "limit_percent": 10}
    async with start(clock=clock, storage=in_bucket, element={"collection": settings}) as element:
        for _ in range(3):
            await element.stored(b"data", **ONE_DAY)
        clock.advance(days=3)
        before = await asyncio.to_thread(versions, swift, bucket)

        report = await collected(element)

        assert "3 would be removed, and at most 2 may be" in report["refused"]
        assert await asyncio.to_thread(versions, swift, bucket) == before
