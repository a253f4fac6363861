"""Two hundred uploads in flight at a kill: the acknowledged are whole, the others whole or absent."""

import asyncio
import random
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest
from aiohttp import ClientError, ClientSession, TCPConnector

from artstore.core.ids import new_file_id
from artstore.core.testing import IssuerServer
from tests.services.storage_element.harness import ElementClient, sha256
from tests.services.storage_element.nursery import Nursery, opened_nursery
from tests.services.storage_element.sweeps import LOGS
from tests.services.storage_element.work import data_left_over

IN_FLIGHT: Final = 200
SIZES: Final = (0, 10, 10_000, 60_000, 300_000)


@pytest.fixture
async def nursery() -> AsyncGenerator[Nursery, None]:
    async with opened_nursery() as nursery:
        yield nursery


class Uploads:
    """Uploads that go on, one after the other in each of many connections, until the element is gone."""

    def __init__(self, element: ElementClient, choice: random.Random) -> None:
        self.begun: dict[UUID, bytes] = {}
        self.acknowledged: set[UUID] = set()
        self._is_acknowledged = asyncio.Event()
        self._awaited = 0
        self._element = element
        self._choice = choice

    async def wait_for(self, acknowledged: int) -> None:
        """Return at the moment when so many are acknowledged."""
        self._awaited = acknowledged
        await self._is_acknowledged.wait()

    async def run(self) -> None:
        try:
            while True:
                file_id, content = new_file_id(), self._choice.randbytes(self._choice.choice(SIZES))
                self.begun[file_id] = content
                answer = await self._element.put(content, file_id=file_id)
                assert answer.status == 201, answer
                self.acknowledged.add(file_id)
                if len(self.acknowledged) == self._awaited:
                    self._is_acknowledged.set()
        except (ClientError, ConnectionError):
            pass


async def killed_once(nursery: Nursery, data: Path, jwks_url: str, log_size: int, *, seed: int) -> int:
    """How many uploads were acknowledged before the kill; all of them are checked."""
    storage = {"type": "local", "root": "storage", "commit_log_size": log_size}
    choice = random.Random(seed)
    async with (
        nursery.element(data, jwks_url, storage=storage) as child,
        ClientSession(connector=TCPConnector(limit=IN_FLIGHT)) as session,
    ):
        uploads = Uploads(ElementClient(session, child.client.url, root=child.client.root), choice)
        clients = [asyncio.create_task(uploads.run()) for _ in range(IN_FLIGHT)]
        await uploads.wait_for(choice.randrange(1, IN_FLIGHT))
        await child.kill()
        await asyncio.gather(*clients)
    async with nursery.element(data, jwks_url, storage=storage) as child:
        await check(child.client, uploads)
    return len(uploads.acknowledged)


async def check(element: ElementClient, uploads: Uploads) -> None:
    listed = {UUID(file_id) for file_id in await element.file_ids()}
    assert uploads.acknowledged <= listed <= set(uploads.begun)
    for file_id in listed:
        assert sha256(await element.download(str(file_id))) == sha256(uploads.begun[file_id])
    assert data_left_over(await element.placed_files()) == []
    assert element.staged_files() == []
    assert await element.metric("artstore_element_wal_pending") == 0


@pytest.mark.parametrize("log", LOGS)
async def test_of_200_uploads_in_flight_at_a_kill_the_acknowledged_are_whole_and_nothing_else_is_left(
    nursery: Nursery, issuer: IssuerServer, tmp_path: Path, log: str
) -> None:
    assert await killed_once(nursery, tmp_path, issuer.jwks_url, LOGS[log], seed=1) > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("log", LOGS)
async def test_of_200_uploads_in_flight_at_each_of_many_kills_the_acknowledged_are_whole(
    nursery: Nursery, issuer: IssuerServer, tmp_path: Path, log: str
) -> None:
    acknowledged = [
        await killed_once(nursery, tmp_path / str(seed), issuer.jwks_url, LOGS[log], seed=seed)
        for seed in range(30)
    ]

    print(
        f"\n| 200 in flight | {log} | {len(acknowledged)} | {sum(acknowledged)} | {sum(acknowledged)} | 0 |"
    )
    assert min(acknowledged) > 0
