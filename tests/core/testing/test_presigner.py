"""The contract of presigned URLs, proved on a small server of them, and noticed where one is careless."""

import hmac
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import parse_qs, quote, urlencode

import pytest
from aiohttp import web
from aiohttp.test_utils import get_port_socket

from artstore.core.http.accepting import stop_accepting
from artstore.core.spec import ByteRange, Capabilities, NotFoundError, Presigner, StorageBackend
from artstore.core.testing import FaultyStorage, MemoryStorage, PresignerContract, StorageContract, read


class PresignedStorage(FaultyStorage, Presigner):
    """Objects in memory, and a server that gives them to whoever has a URL."""

    url: str

    def __init__(self, *, forgets_to_end: bool = False) -> None:
        super().__init__(MemoryStorage())
        self._forgets_to_end = forgets_to_end

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, presigner=self)

    async def presign_get(self, key: str, *, expires_in: float) -> str:
        await self.head(key)
        end = f"{time.time() + expires_in}"
        return f"{self.url}/{quote(key)}?{urlencode({'end': end, 'signature': _sign(key, end)})}"

    async def serve(self, request: web.BaseRequest) -> web.Response:
        key, query = request.path[1:], parse_qs(request.query_string)
        end, signature = query["end"][0], query["signature"][0]
        is_over = time.time() > float(end) and not self._forgets_to_end
        if request.method != "GET" or is_over or not hmac.compare_digest(signature, _sign(key, end)):
            return web.Response(status=403)
        part = request.http_range
        if part.start is None:
            return web.Response(body=await read(self.get(key)))
        byte_range = ByteRange(part.start, part.stop - 1)
        return web.Response(status=206, body=await read(self.get(key, byte_range=byte_range)))


def _sign(key: str, end: str) -> str:
    return hmac.digest(b"secret", f"{key} {end}".encode(), "sha256").hex()


@asynccontextmanager
async def served(storage: PresignedStorage) -> AsyncGenerator[PresignedStorage, None]:
    runner = web.ServerRunner(web.Server(storage.serve))
    await runner.setup()
    listening = get_port_socket("127.0.0.1", 0, socket.AF_INET)
    try:
        await web.SockSite(runner, listening).start()
        storage.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield storage
    finally:
        await stop_accepting([listening])
        await runner.cleanup()


class TestPresignedStorage(StorageContract, PresignerContract):
    expected_capabilities = frozenset({"atomic_put", "presigner"})

    @pytest.fixture
    async def storage(self) -> AsyncGenerator[StorageBackend, None]:
        async with served(PresignedStorage()) as storage:
            yield storage


async def test_a_url_that_does_not_end_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("artstore.core.testing.storage.presigner.PATIENCE", 1.5)

    async with served(PresignedStorage(forgets_to_end=True)) as storage:
        with pytest.raises(TimeoutError):
            await PresignerContract().test_its_url_ends(storage, storage)
        with pytest.raises(NotFoundError):
            await storage.presign_get("none", expires_in=1)
