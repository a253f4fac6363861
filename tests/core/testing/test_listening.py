"""Servers that stop while somebody connects: whose connection is known late is closed all the same."""

import asyncio
import gc
import socket
import warnings
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from aiohttp import web

from artstore.core.testing.listening import LoopbackServer
from tests.core.http.serving import served


@asynccontextmanager
async def of_aiohttp() -> AsyncGenerator[int, None]:
    async with LoopbackServer(web.Application()) as server:
        yield server.make_url("").port or 0


@asynccontextmanager
async def of_a_role() -> AsyncGenerator[int, None]:
    async with served() as server:
        yield server.port


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("server", [of_aiohttp, of_a_role])
def test_a_server_that_stops_closes_who_has_just_connected(
    server: Callable[[], AbstractAsyncContextManager[int]], turns: int
) -> None:
    async def connect_and_stop() -> None:
        with socket.socket() as client:
            async with server() as port:
                client.connect(("127.0.0.1", port))
                for _ in range(turns):
                    await asyncio.sleep(0)

    with warnings.catch_warnings(record=True) as left_open:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(connect_and_stop())
        gc.collect()

    assert left_open == []
