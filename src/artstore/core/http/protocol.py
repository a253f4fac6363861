"""HTTP before it is a request: limits of its head, and the answer to what breaks the protocol."""

import asyncio
import socket
import uuid
from collections.abc import Mapping
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, InvalidURLError, LineTooLong
from aiohttp.web_request import BaseRequest

from artstore.core.http.connections import Connections
from artstore.core.http.problems import problem_response
from artstore.core.http.security_headers import security_headers
from artstore.core.logging import get_logger
from artstore.core.spec import InvalidRequestError

READ_BUFFER: Final = 256 * 1024
MAX_HEADER_SIZE: Final = 16 * 1024
"""Bytes of the request line, and of one header: ``Artstore-Attributes`` may have 8 KiB, an access token a
few."""
HANDLER_OPTIONS: Final[Mapping[str, Any]] = {
    "access_log": None,
    "read_bufsize": READ_BUFFER,
    "max_line_size": MAX_HEADER_SIZE,
    "max_field_size": MAX_HEADER_SIZE,
    "auto_decompress": False,
}
_HEAD_TIMEOUT: Final = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_log: Final = get_logger("http")


class Protocol(web.RequestHandler):
    """One connection. What is no request has no handler and no middleware; it is answered here."""

    __slots__ = ("_address", "_connections", "_head_timer", "_open")

    def __init__(self, server: web.Server, connections: Connections, **options: Any) -> None:
        super().__init__(server, **options)
        self._connections = connections
        self._address: str | None = None
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open = cast("asyncio.Transport", transport)  # uvloop's are of another class
        self._connections.made(self._open)
        super().connection_made(transport)
        address = _peer_address(transport)
        if not self._connections.enter(address):
            self.force_close()
            return
        self._address = address
        _limit_sending(transport, self._connections.limits.send_timeout)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._end_head_timer()
        self._connections.lost(self._open)
        if self._address is not None:
            self._connections.leave(self._address)
            self._address = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Time the heads of requests: aiohttp times only what comes between two of them."""
        super().data_received(data)
        is_waiting_for_head = self._waiter is not None and not self._waiter.done()
        if not is_waiting_for_head:
            self._end_head_timer()
        elif data and self._head_timer is None:
            timeout = self._connections.limits.head_timeout
            self._head_timer = asyncio.get_running_loop().call_later(timeout, self._give_up_head)

    def _give_up_head(self) -> None:
        self._head_timer = None
        if self.transport is not None:
            self._connections.refuse("head")
            self.transport.write(_HEAD_TIMEOUT)
        self.force_close()

    def _end_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A problem without the bytes that were sent, in place of aiohttp's text and traceback."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        request_id = uuid.uuid4().hex
        _log.info(
            "request_malformed", reason=type(exc).__name__, client=request.remote, request_id=request_id
        )
        response = problem_response(InvalidRequestError(_detail(exc)), request_id=request_id)
        response.headers.update(security_headers(url=""))
        response.force_close()
        return response


def _peer_address(transport: asyncio.BaseTransport) -> str:
    peer: tuple[str, int] | str | None = transport.get_extra_info("peername")
    return peer[0] if isinstance(peer, tuple) else "local"


def _limit_sending(transport: asyncio.BaseTransport, seconds: float) -> None:
    """Let the kernel end a connection whose client takes nothing (tcp(7), RFC 5482)."""
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, round(seconds * 1000)))


def _detail(error: HttpProcessingError) -> str:
    if isinstance(error, LineTooLong):
        return f"the request line, or a header, is longer than {MAX_HEADER_SIZE} bytes"
    if isinstance(error, InvalidURLError):
        return "the request line has characters that a URL cannot have: percent-encode them (RFC 3986)"
    return "this is not a request as HTTP/1.1 defines it (RFC 9112)"
