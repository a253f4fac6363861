"""A process that is killed: what it acknowledged is whole, and nothing else is left."""

import asyncio
import json
import random
from pathlib import Path

import pytest
from aiohttp import ClientError

from artstore.core.testing import IssuerServer
from tests.services.storage_element.harness import TEMPORARY, ElementClient, StartElement, sha256
from tests.services.storage_element.processes import element_process

SIZES = (0, 10, 10_000, 300_000, 3_000_000)


class Load:
    """Uploads and deletions without end; ``stored`` and ``deleted`` are those acknowledged, by id."""

    def __init__(self, element: ElementClient) -> None:
        self.stored: dict[str, str] = {}
        self.deleted: set[str] = set()
        self._element = element

    async def run(self, *, seed: int) -> None:
        """Work until the element is gone."""
        choice = random.Random(seed)
        try:
            while True:
                content = choice.randbytes(choice.choice(SIZES))
                answer = await self._element.put(content, **TEMPORARY)
                file_id = answer.json()["attributes"]["file_id"]
                self.stored[file_id] = sha256(content)
                if choice.random() < 0.3:
                    await self._delete(file_id)
        except (ClientError, ConnectionError):
            pass

    async def _delete(self, file_id: str) -> None:
        del self.stored[file_id]  # from now on it may be there or not
        answer = await self._element.request("DELETE", f"/api/v1/files/{file_id}")
        assert answer.status == 200
        self.deleted.add(file_id)


@pytest.mark.parametrize("killed_after", [0.3, 0.7])
async def test_after_a_kill_acknowledged_files_are_whole_and_nothing_else_is_left(
    start: StartElement, issuer: IssuerServer, tmp_path: Path, killed_after: float
) -> None:
    async with element_process(tmp_path, issuer.jwks_url) as process:
        load = Load(process.client)
        clients = [asyncio.create_task(load.run(seed=seed)) for seed in range(8)]
        await asyncio.sleep(killed_after)
        await process.kill()
        await asyncio.gather(*clients)

    async with start() as element:
        listed = await element.file_ids()
        assert load.stored.keys() <= set(listed)
        assert not load.deleted & set(listed)
        for file_id, digest in load.stored.items():
            assert sha256(await element.download(file_id)) == digest
        _assert_tidy(element, listed)


def _assert_tidy(element: ElementClient, listed: list[str]) -> None:
    """Every data file has its sidecar and is listed, whole; nothing is staged."""
    sidecars = {path for path in element.data_files() if path.name.endswith(".attr.json")}
    described = {path: json.loads(path.read_bytes()) for path in sidecars}
    data = set(element.data_files()) - sidecars
    active = {path for path, said in described.items() if said["status"] == "active"}
    assert {path.with_name(f"{path.name}.attr.json") for path in data} == active
    assert sorted(described[path]["file_id"] for path in active) == listed
    for path in active:
        content = path.with_name(path.name.removesuffix(".attr.json")).read_bytes()
        assert sha256(content) == described[path]["checksum"]
    assert element.staged_files() == []


async def test_an_element_that_is_asked_to_stop_finishes_what_it_does(
    start: StartElement, issuer: IssuerServer, tmp_path: Path
) -> None:
    async with element_process(tmp_path, issuer.jwks_url) as process:
        load = Load(process.client)
        clients = [asyncio.create_task(load.run(seed=seed)) for seed in range(4)]
        await asyncio.sleep(0.3)

        exit_code = await process.stop()

        await asyncio.gather(*clients)
    assert exit_code == 0
    async with start() as element:
        assert await element.metric("artstore_element_wal_recovered_total") == 0
        assert load.stored.keys() <= set(await element.file_ids())
