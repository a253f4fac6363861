"""Room is promised once: uploads that come together never take more than there is."""

import asyncio
import hashlib
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Any

import pytest

from artstore.core.spec import ObjectInfo, StorageBackend, Usage
from artstore.core.testing import IssuerServer, body
from tests.services.storage_element.faulty_storage import FaultyStorage
from tests.services.storage_element.harness import NOTHING_KEPT_FREE, TEMPORARY, ElementClient, StartElement
from tests.services.storage_element.processes import element_process
from tests.services.storage_element.test_disk_full import fill, on_tiny_disk, seen_by

__all__ = ["on_tiny_disk"]

KIB = 1024
MIB = 1024 * KIB


class SlowDisk(FaultyStorage):
    """A disk of ``total`` bytes that shows what an object takes only when it has all of it."""

    total = 20 * MIB
    delay = 0.05

    def __init__(self, storage: StorageBackend) -> None:
        super().__init__(storage, has_batches=False)
        self.used = 0
        self.most_used = 0

    async def put(
        self, key: str, body: AsyncIterable[bytes], *, size: int | None = None, sha256: str | None = None
    ) -> ObjectInfo:
        info = await super().put(key, body, size=size, sha256=sha256)
        await asyncio.sleep(self.delay)
        self.used += info.size
        self.most_used = max(self.most_used, self.used)
        return info

    async def usage(self) -> Usage:
        return Usage(used=self.used, total=self.total, free=self.total - self.used)


@pytest.mark.parametrize("is_length_known", [True, False])
async def test_uploads_that_come_together_take_no_more_than_there_is(
    start: StartElement, *, is_length_known: bool
) -> None:
    disks: list[SlowDisk] = []

    def wrap(storage: StorageBackend) -> StorageBackend:
        disks.append(SlowDisk(storage))
        return disks[0]

    async with start(wrap=wrap, element=NOTHING_KEPT_FREE) as element:

        async def upload_some() -> list[int]:
            pieces = [bytes(512 * KIB)] * 3
            return [
                (await element.put(b"".join(pieces) if is_length_known else body(*pieces))).status
                for _ in range(5)
            ]

        async def keep_looking(stop: asyncio.Event) -> None:
            while not stop.is_set():
                await element.get("/api/v1/capacity")

        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(keep_looking(stop))
            several = await asyncio.gather(*(upload_some() for _ in range(6)))
            stop.set()

        statuses = [status for some in several for status in some]
        stored = statuses.count(201)
        assert stored + statuses.count(507) == 30
        assert stored >= 5
        assert disks[0].most_used <= disks[0].total
        assert len(await element.file_ids()) == stored


async def acknowledged(element: ElementClient, content: bytes, **attributes: Any) -> dict[str, str]:
    """The file, if it was taken: its id and the digest it must have from now on."""
    answer = await element.put(content, **attributes)
    assert answer.status in (201, 507), answer
    return (
        {}
        if answer.status == 507
        else {answer.json()["attributes"]["file_id"]: hashlib.sha256(content).hexdigest()}
    )


@pytest.mark.parametrize("log_size", [0, MIB], ids=["single objects", "batches"])
async def test_however_little_is_free_what_is_acknowledged_is_whole(
    on_tiny_disk: tuple[str, ...], issuer: IssuerServer, tmp_path: Path, log_size: int
) -> None:
    async with element_process(
        tmp_path,
        issuer.jwks_url,
        launcher=on_tiny_disk,
        element=NOTHING_KEPT_FREE,
        storage={"type": "local", "root": "storage", "commit_log_size": log_size},
    ) as process:
        element = seen_by(process.pid, process.client)
        filler, kept, deleted = element.root / "filler", dict[str, str](), set[str]()
        changing = await element.stored(b"before", name="changing.txt")
        versions = {1}
        for free in (0, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512):
            doomed = (await acknowledged(element, b"doomed", **TEMPORARY)) or {}
            await asyncio.to_thread(fill, filler)
            await asyncio.to_thread(_leave, filler, free * KIB)

            kept |= await acknowledged(element, bytes(f"small {free}", "ascii"))
            kept |= await acknowledged(element, bytes(100 * KIB))
            changed = await element.request(
                "PATCH", f"/api/v1/files/{changing['file_id']}", json={"description": f"at {free}"}
            )
            assert changed.status in (200, 507), changed
            for file_id in doomed:
                gone = await element.request("DELETE", f"/api/v1/files/{file_id}")
                assert gone.status in (200, 507), gone
                if gone.status == 200:
                    deleted.add(file_id)
            for file_id, digest in kept.items():
                assert hashlib.sha256(await element.download(file_id)).hexdigest() == digest
            if changed.status == 200:
                versions.add(changed.json()["attributes"]["version"])
            filler.unlink()

        await element.wait_for_metric("artstore_element_wal_pending", 0)
        await element.wait_for_metric("artstore_plugin_storage_local_commit_log_objects", 0)
        assert (await element.get(f"/api/v1/files/{changing['file_id']}"))["version"] == max(versions)
        assert set(kept) <= set(await element.file_ids())
        assert not deleted & set(await element.file_ids())
        assert kept
        await element.request("POST", "/api/v1/catalog/consistency", json={"verify": True})
        await element.wait_for_metric("artstore_element_consistency_checking", 0)
        assert (await element.get("/api/v1/catalog/consistency"))["totals"] == {}
        assert element.staged_files() == []


def _leave(filler: Path, free: int) -> None:
    with filler.open("r+b") as file:
        file.truncate(max(filler.stat().st_size - free, 0))


async def test_what_is_kept_free_is_room_enough_to_delete_and_to_describe(start: StartElement) -> None:
    """Uploads are refused long before the disk is full, so that the sidecars of changes still fit."""
    disks: list[SlowDisk] = []

    def wrap(storage: StorageBackend) -> StorageBackend:
        disks.append(SlowDisk(storage))
        return disks[0]

    half = {name: {"fraction": 0.5, "size": 10**18} for name in ("warning", "critical", "full")}
    async with start(wrap=wrap, element={"capacity": half}) as element:
        stored = await element.stored(b"data", **TEMPORARY)
        url = f"/api/v1/files/{stored['file_id']}"
        disks[0].used = disks[0].total * 2 // 3
        assert (await element.get("/api/v1/capacity"))["status"] == "full"

        refused = await element.put(b"more")
        changed = await element.request("PATCH", url, json={"tags": ["new"]})
        deleted = await element.request("DELETE", url)

        assert (refused.status, changed.status, deleted.status) == (507, 200, 200)
