"""``Expect: 100-continue``: a client that waits is asked for its body only when the body is wanted."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, nullcontext

import pytest
from aiohttp import web

from artstore.core.app import Resource, Role, build_app
from artstore.core.config import Settings
from artstore.core.http.bodies import guarded_body
from artstore.core.http.operations import Operation
from artstore.core.http.problems import Problem
from artstore.core.keys import AUTHENTICATOR
from artstore.core.spec import (
    Authenticator,
    Credentials,
    InsufficientStorageError,
    Principal,
    UnauthenticatedError,
)
from artstore.core.testing.listening import LoopbackServer


async def echo_json(request: web.Request, body: Problem) -> Problem:
    """A handler whose body is JSON."""
    return body


async def count(request: web.Request) -> web.Response:
    """A handler that streams its body."""
    size = 0
    async for chunk in guarded_body(request, limit=100, stall_timeout=5):
        size += len(chunk)
    return web.Response(text=str(size))


async def refuse(request: web.Request) -> web.Response:
    """A handler that does not want the body."""
    raise InsufficientStorageError("no room")


OPERATIONS = [
    Operation("POST", "/json", echo_json, public=True),
    Operation("POST", "/count", count, public=True, streams_body=True),
    Operation("POST", "/refuse", refuse, public=True, streams_body=True),
    Operation("POST", "/protected", count, streams_body=True),
]


class NobodyKnown(Authenticator):
    """Refuses everyone."""

    async def authenticate(self, credentials: Credentials) -> Principal:
        raise UnauthenticatedError("nobody is known here")


def open_authenticator(app: web.Application) -> AbstractAsyncContextManager[Authenticator]:
    return nullcontext(NobodyKnown())


@pytest.fixture
async def server() -> AsyncGenerator[LoopbackServer, None]:
    role = Role(name="element", title="test", operations=OPERATIONS)
    app = build_app(role, [Resource(AUTHENTICATOR, open_authenticator)], settings=Settings())
    server = LoopbackServer(app)
    await server.start_server()
    yield server
    await server.close()


async def converse(server: LoopbackServer, path: str, body: bytes, media_type: str) -> list[bytes]:
    """Send the head, wait for an answer's status line, then send the body; both status lines."""
    reader, writer = await asyncio.open_connection(server.host, server.make_url("/").port)
    head = f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}Content-Type: {media_type}\r\nExpect: 100-continue\r\n\r\n".encode())
    lines = [(await reader.readline()).strip()]
    if lines[0] == b"HTTP/1.1 100 Continue":
        await reader.readline()
        writer.write(body)
        lines.append((await reader.readline()).strip())
    writer.close()
    return lines


@pytest.mark.parametrize(
    ("path", "body", "media_type"),
    [
        ("/json", b'{"type": "t", "title": "t", "status": 1}', "application/json"),
        ("/count", b"data", "text/plain"),
    ],
)
async def test_a_wanted_body_is_asked_for(
    server: LoopbackServer, path: str, body: bytes, media_type: str
) -> None:
    lines = await converse(server, path, body, media_type)

    assert lines == [b"HTTP/1.1 100 Continue", b"HTTP/1.1 200 OK"]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/refuse", b"507"), ("/protected", b"401")],
)
async def test_a_refused_body_is_never_sent(server: LoopbackServer, path: str, status: bytes) -> None:
    lines = await converse(server, path, b"data", "text/plain")

    assert [line.split()[1] for line in lines] == [status]


async def test_a_body_that_is_declared_too_large_is_never_sent(server: LoopbackServer) -> None:
    lines = await converse(server, "/count", bytes(101), "text/plain")

    assert [line.split()[1] for line in lines] == [b"413"]
