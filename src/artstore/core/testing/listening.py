"""Servers of aiohttp for tests."""

import socket

from aiohttp import web
from aiohttp.test_utils import TestServer, get_port_socket

from artstore.core.http.accepting import stop_accepting


class LoopbackServer(TestServer):
    """One application on a loopback port; no connection is left when it stops."""

    __test__ = False

    def __init__(self, app: web.Application, *, port: int | None = None) -> None:
        super().__init__(app, port=port, socket_factory=self._listen)

    async def close(self) -> None:
        """Refuse connections, and end those that there are."""
        if self.started and not self.closed:
            await stop_accepting([self._listening])
        await super().close()

    def _listen(self, host: str, port: int, family: socket.AddressFamily) -> socket.socket:
        self._listening = get_port_socket(host, port, family)
        return self._listening
