"""A TCP proxy that misbehaves on request: slow, cut off in the middle, silent."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from artstore.core.http.accepting import stop_accepting

CHUNK: Final = 64 * 1024


class FaultProxy:
    """Forwards connections to one server; its faults may be changed while it runs.

    ``latency`` is in seconds before each piece is forwarded. Once a connection has carried
    ``cut_request_after`` bytes towards the server, or ``cut_response_after`` bytes back, both its ends
    are reset.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self._connections = set[asyncio.Task[None]]()
        self._speaking = asyncio.Event()
        self._speaking.set()
        self._server: asyncio.Server | None = None
        self.latency = 0.0
        self.cut_request_after: int | None = None
        self.cut_response_after: int | None = None
        self.accepted = 0

    @property
    def url(self) -> str:
        """Where the proxy listens."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def fall_silent(self) -> None:
        """Forward nothing from now on; connections are accepted and stay open."""
        self._speaking.clear()

    def heal(self) -> None:
        """Behave from now on."""
        self.latency = 0.0
        self.cut_request_after = self.cut_response_after = None
        self._speaking.set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def stop(self) -> None:
        """Refuse connections, and reset those that are open."""
        assert self._server is not None
        await stop_accepting(self._server.sockets)
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.create_task(self._forward(reader, writer))
        self._connections.add(task)
        task.add_done_callback(lambda task: self._end(task, writer))

    def _end(self, task: asyncio.Task[None], writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()
        self._connections.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._speaking.wait()
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            return
        try:
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._pump(reader, server_writer, lambda: self.cut_request_after))
                directions.create_task(self._pump(server_reader, writer, lambda: self.cut_response_after))
        except* (OSError, _CutError):
            pass
        finally:
            server_writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: Callable[[], int | None]
    ) -> None:
        forwarded = 0
        while piece := await reader.read(CHUNK):
            await asyncio.sleep(self.latency)
            await self._speaking.wait()
            cut_after = limit()
            if cut_after is not None:
                piece = piece[: max(0, cut_after - forwarded)]
            writer.write(piece)
            await writer.drain()
            forwarded += len(piece)
            if cut_after is not None and forwarded >= cut_after:
                raise _CutError
        raise _CutError  # one side has closed: so does the other


class _CutError(Exception):
    """The connection is to be reset."""


@asynccontextmanager
async def fault_proxy(target: str) -> AsyncGenerator[FaultProxy, None]:
    """A running proxy in front of ``target``, a URL."""
    proxy = FaultProxy(target)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
