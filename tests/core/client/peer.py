"""An issuer and another role in one server, which do what a test wants of them."""

import asyncio
from dataclasses import dataclass, field

from aiohttp import encode_basic_auth, web
from aiohttp.test_utils import BaseTestServer
from pydantic import BaseModel

from artstore.core.http.bodies import ask_for_body


class Thing(BaseModel):
    """An answer."""

    number: int


@dataclass
class Peer:
    """An issuer and another role in one server, with knobs."""

    server: BaseTestServer | None = None
    tokens_issued: int = 0
    expires_in: float = 1800
    issuer_status: int = 200
    issuer_body: bytes | None = None
    issuer_delay: float = 0
    issuer_location: str | None = None
    refused: set[str] = field(default_factory=set[str])
    seen: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    stored: list[bytes] = field(default_factory=list[bytes])

    def url(self, path: str) -> str:
        assert self.server is not None
        return str(self.server.make_url(path))

    async def issue(self, request: web.Request) -> web.Response:
        await asyncio.sleep(self.issuer_delay)
        assert request.headers["Authorization"] == encode_basic_auth("id", "secret")
        if self.issuer_body is not None or self.issuer_status != 200:
            headers = {"Location": self.issuer_location} if self.issuer_location else None
            return web.Response(status=self.issuer_status, body=self.issuer_body, headers=headers)
        self.tokens_issued += 1
        answer = {
            "access_token": f"token-{self.tokens_issued}",
            "token_type": "Bearer",
            "expires_in": self.expires_in,
        }
        return web.json_response(answer)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self._refuses(request):
            return web.Response(status=401)
        match request.match_info["what"]:
            case "thing":
                return web.json_response({"number": 1})
            case "garbage":
                return web.Response(body=b"<html>")
            case "slow":
                await asyncio.sleep(30)
            case "conflict":
                problem = {"type": "urn:artstore:problem:mode-not-allowed", "title": "No", "status": 409}
                return web.json_response(problem, status=409, content_type="application/problem+json")
            case "busy":
                problem = {"type": "urn:artstore:problem:unavailable", "title": "Busy", "status": 503}
                return web.json_response(problem, status=503, headers={"Retry-After": "9"})
            case "stalled":
                response = web.StreamResponse(headers={"Content-Length": "1000"})
                await response.prepare(request)
                await response.write(b"x")
                await asyncio.sleep(30)
            case "cut":
                response = web.StreamResponse(headers={"Content-Length": "1000"})
                await response.prepare(request)
                await response.write(b"x")
                assert request.transport is not None
                request.transport.abort()
                return response
            case "endless" | "endless-failure" | "stalled-failure" as what:
                await self.go_on(request, what)
            case _:
                pass
        return web.Response(status=500, body=b"secret stack")

    async def store(self, request: web.Request) -> web.Response:
        """Take a body, of which a client that waits sends nothing before."""
        if self._refuses(request):
            return web.Response(status=401)
        await ask_for_body(request)
        self.stored.append(await request.read())
        return web.json_response({"number": len(self.stored)})

    async def go_on(self, request: web.Request, what: str) -> None:
        """An answer, or a failure, that never ends, or only begins."""
        response = web.StreamResponse(status=500 if what.endswith("failure") else 200)
        await response.prepare(request)
        while what.startswith("endless"):
            await response.write(b"x" * 16384)
        await response.write(b"x")
        await asyncio.sleep(30)

    def _refuses(self, request: web.Request) -> bool:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        self.seen.append((token, request.headers.get("X-Request-ID", "")))
        return token in self.refused
