"""A proxy in front of a real S3 service that fails, cuts, lies and loses as it is told."""

import asyncio
import io
import re
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from aiohttp import ClientConnectionError, ClientResponse, ClientSession, web
from aiohttp.test_utils import get_port_socket
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from yarl import URL

from artstore.core.http.accepting import stop_accepting
from tests.s3.servers import S3Server

HOP_BY_HOP: Final = frozenset({"connection", "transfer-encoding", "keep-alive", "server"})
SIGNED: Final = frozenset({"host", "authorization", "x-amz-date", "x-amz-content-sha256"})
CUT_AFTER: Final = 1024 * 1024
"""Bytes of a body that get through before it is cut off."""
CHUNK_SIZE: Final = 64 * 1024
ERROR: Final = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>no</Message></Error>'

Applies = Callable[[web.Request], bool]
REFUSALS: Final[Mapping[str, tuple[int, str]]] = {
    "throttled": (503, "SlowDown"),
    "broken": (500, "InternalError"),
    "full": (507, "InsufficientStorage"),
    "over quota": (403, "QuotaExceeded"),
    "forbidden": (403, "AccessDenied"),
    "without bucket": (404, "NoSuchBucket"),
    "moved": (301, "PermanentRedirect"),
}
LOGIN_PAGE: Final = "<html><body>Log in</body></html>"


def everything(request: web.Request) -> bool:
    """Every request."""
    return True


def writing(request: web.Request) -> bool:
    """Whatever stores something."""
    return request.method in ("PUT", "POST")


def reading(request: web.Request) -> bool:
    """Whatever gives bytes or facts of an object."""
    return request.method in ("GET", "HEAD")


class MisbehavingService:
    """In front of a real one. After :meth:`fail` it has a fault, until :meth:`heal`.

    ``once`` spares all but the first request that is met. ``requests`` are those that came since.
    """

    def __init__(self, server: S3Server, session: ClientSession) -> None:
        self.url = ""
        self.requests: list[str] = []
        self.ignored_headers: list[str] = []
        """Headers, in lower case, that do not reach the service."""
        self._target = URL(server.url)
        self._credentials = Credentials(server.access_key_id, server.secret_access_key)
        self._session = session
        self._fault = ""
        self._applies: Applies = everything
        self._left: int | None = None

    def fail(self, fault: str, *, applies: Applies = everything, once: bool = False) -> None:
        """Have ``fault`` from now on, in the requests that it ``applies`` to."""
        self._fault, self._applies, self._left = fault, applies, 1 if once else None
        self.requests.clear()

    def heal(self) -> None:
        """Behave from now on."""
        self._fault = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs}")
        fault = self._next_fault(request)
        if fault in REFUSALS:
            await request.read()
            return _refusal(*REFUSALS[fault])
        if fault == "garbage":
            return web.Response(body=b"\x00 not what S3 says", content_type="application/xml")
        if fault == "login page":
            await request.read()
            return web.Response(text=LOGIN_PAGE, content_type="text/html")
        if fault == "silent":
            await asyncio.sleep(3600)
        if fault == "reset":
            return await _reset(request)
        return await self._forward(request, fault)

    def _next_fault(self, request: web.Request) -> str:
        if not self._fault or self._left == 0 or not self._applies(request):
            return ""
        if self._left is not None:
            self._left -= 1
        return self._fault

    async def _forward(self, request: web.Request, fault: str) -> web.StreamResponse:
        body = await request.read()
        if fault == "damaged" and request.method == "PUT":
            body = bytes([body[0] ^ 1]) + body[1:]
        headers = request.headers.copy()
        for name in (*HOP_BY_HOP, "expect", *self.ignored_headers):
            headers.popall(name, None)
        if fault == "ignored ranges":
            headers.popall("range", None)
        if fault == "other ranges" and request.method == "GET":
            headers["Range"] = "bytes=0-9"
        url = self._target.join(URL(request.raw_path, encoded=True))
        async with self._session.request(
            request.method,
            url,
            headers=self._signed(request.method, str(url), headers),
            data=io.BytesIO(body) if body else None,
            skip_auto_headers=["Content-Type", "User-Agent", "Accept"],
        ) as answer:
            if fault == "unsorted":
                return await _backwards(answer)
            if fault == "without dates":
                return await _rewritten(answer, "<LastModified>[^<]*", "<LastModified>yesterday")
            if fault == "endless":
                return await _rewritten(answer, "<IsTruncated>false", "<IsTruncated>true")
            if fault == "lost answers":
                await answer.read()
                return await _reset(request)
            return await self._pass_on(request, answer, fault)

    def _signed(self, method: str, url: str, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers with a signature of our own: that of the client is about other headers."""
        kept = {name: value for name, value in headers.items() if name.lower() not in SIGNED}
        request: Any = AWSRequest(method, url, headers=kept)
        # Chunked or not, the bytes are not in the signature.
        request.context["client_config"] = Config(s3={"payload_signing_enabled": False})
        signer: Any = S3SigV4Auth(self._credentials, "s3", "us-east-1")
        signer.add_auth(request)
        return dict(request.headers.items())

    async def _pass_on(self, request: web.Request, answer: ClientResponse, fault: str) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, reason=answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in HOP_BY_HOP:
                response.headers.add(name, value)
        await response.prepare(request)
        passed = 0
        async for chunk in answer.content.iter_chunked(CHUNK_SIZE):
            # A fault that begins in the middle of a body meets the rest of it.
            fault = fault or self._next_fault(request)
            if fault == "damaged":
                chunk = bytes([chunk[0] ^ 1]) + chunk[1:]
            if fault == "silent":
                await asyncio.sleep(3600)
            if fault == "cut" and passed + len(chunk) > CUT_AFTER:
                return await _reset(request, response)
            await response.write(chunk)
            passed += len(chunk)
        return response


def _refusal(status: int, code: str) -> web.Response:
    return web.Response(
        status=status,
        text=ERROR.format(code=code),
        content_type="application/xml",
        headers={"Retry-After": "7"},
    )


async def _rewritten(answer: ClientResponse, pattern: str, replacement: str) -> web.Response:
    """The answer with some of its document replaced."""
    document = re.sub(pattern, replacement, await answer.text())
    return web.Response(text=document, content_type="application/xml")


async def _backwards(answer: ClientResponse) -> web.Response:
    """A listing from its end to its start."""
    document = await answer.text()
    entries = re.findall("<Contents>.*?</Contents>", document, re.DOTALL)
    turned = document.replace("".join(entries), "".join(reversed(entries)))
    return web.Response(text=turned, content_type="application/xml")


async def _reset(request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
    """Break the connection; what is returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return response or web.Response()


@web.middleware
async def _survive(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Whoever has gone needs no answer."""
    with suppress(ClientConnectionError, ConnectionError):
        return await handler(request)
    return web.Response()


@asynccontextmanager
async def misbehaving_service(server: S3Server) -> AsyncGenerator[MisbehavingService, None]:
    """A running proxy that behaves, until it is told otherwise."""
    async with ClientSession(auto_decompress=False) as session:
        service = MisbehavingService(server, session)
        app = web.Application(client_max_size=1024**3, middlewares=[_survive])
        app.router.add_route("*", "/{path:.*}", service.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        listening = get_port_socket("127.0.0.1", 0, socket.AF_INET)
        try:
            await web.SockSite(runner, listening).start()
            service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield service
        finally:
            await stop_accepting([listening])
            await runner.cleanup()
