"""A small role on a real socket, as :mod:`artstore.core.server` serves it, and clients that know no HTTP."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from multidict import CIMultiDict
from pydantic import BaseModel

from artstore.core.app import Role, build_app
from artstore.core.config import Settings
from artstore.core.http.bodies import guarded_body
from artstore.core.http.operations import Operation
from artstore.core.keys import SETTINGS, STOPPING
from artstore.core.server import Listener, bound


class Note(BaseModel):
    """A JSON body."""

    text: str = ""


async def keep(request: web.Request, body: Note) -> Note:
    """Take JSON."""
    return body


async def count(request: web.Request) -> web.Response:
    """Take a stream."""
    stall_timeout = request.app[SETTINGS].server.stall_timeout
    chunks = guarded_body(request, limit=None, stall_timeout=stall_timeout)
    return web.Response(text=str(sum([len(chunk) async for chunk in chunks])))


async def pour(request: web.Request) -> web.StreamResponse:
    """Send for ever."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 65536)


async def fill(request: web.Request) -> web.StreamResponse:
    """Send until the kernel takes no more, and end with the rest of it in the server."""
    response = web.StreamResponse()
    await response.prepare(request)
    assert request.transport is not None
    while not request.transport.get_write_buffer_size():
        await response.write(b"x" * 16384)
    return response


OPERATIONS = (
    Operation("PUT", "/note", keep, public=True),
    Operation("PUT", "/stream", count, public=True, streams_body=True),
    Operation("GET", "/pour", pour, public=True),
    Operation("GET", "/fill", fill, public=True),
)


@dataclass(frozen=True, slots=True)
class Served:
    """Where the small role listens."""

    port: int
    _connections: "list[Connection]" = field(default_factory=lambda: list[Connection]())

    async def connect(self) -> "Connection":
        """A connection that ends with the server, if not before."""
        connection = Connection(*await asyncio.open_connection("127.0.0.1", self.port))
        self._connections.append(connection)
        return connection

    async def hang_up(self) -> None:
        """End what is left of the connections."""
        for connection in self._connections:
            connection.writer.close()
            with suppress(ConnectionError):
                await connection.writer.wait_closed()

    async def ask(self, text: str) -> "Said":
        """One request on a connection of its own."""
        connection = await self.connect()
        connection.send(text)
        return await connection.answer()

    async def metric(self, sample: str) -> float:
        """The present value of ``sample``, which is written as ``/metrics`` has it; 0 without."""
        said = await self.ask("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        for line in said.body.decode().splitlines():
            name, _, value = line.rpartition(" ")
            if name == sample:
                return float(value)
        return 0.0


@dataclass(frozen=True, slots=True)
class Said:
    """An answer."""

    status: int
    headers: CIMultiDict[str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Connection:
    """Bytes to and from a server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, text: str) -> None:
        self.writer.write(text.encode("latin-1"))

    async def answer(self) -> Said:
        """One answer, which must have a ``Content-Length`` if it has a body."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = CIMultiDict((name, value.strip()) for name, _, value in (x.partition(":") for x in lines))
        body = await self.reader.readexactly(int(headers.get("Content-Length", 0)))
        return Said(int(first.split()[1]), headers, body)

    async def is_ended(self) -> bool:
        """Read until the server ends the connection; it has to."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass
        return True


@asynccontextmanager
async def served(**server: Any) -> AsyncGenerator[Served, None]:
    """The small role with a section ``[server]``."""
    app = build_app(
        Role("query", "Small", OPERATIONS), [], settings=Settings.model_validate({"server": server})
    )
    async with bound(Listener("query", app, "127.0.0.1", 0)) as listening:
        try:
            await listening.start()
            small = Served(listening.port)
            yield small
            await small.hang_up()
        finally:
            app[STOPPING].set()
            await listening.stop(grace_period=0)
