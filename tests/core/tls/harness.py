"""One role behind TLS, and clients that are not ours: OpenSSL's, and Python's with a plain context."""

import asyncio
import ssl
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import ClientSession, TCPConnector

from artstore.core.config import Settings
from tests.services.admin.harness import Port
from tests.services.roles import RoleServer, sample
from tests.services.storage_element.harness import Answer

MUTUAL: Mapping[str, Any] = {
    "enabled": True,
    "cert_file": "certs/{role}.crt",
    "key_file": "certs/{role}.key",
    "client_cert_file": "certs/{role}-client.crt",
    "client_key_file": "certs/{role}-client.key",
    "ca_cert_file": "certs/ca.crt",
    "crl_file": "certs/crl.pem",
    "verify_mode": "required",
    "reload_interval": 0.1,
}
LIVE = "/health/live"


class TlsServer:
    """The ingester, which needs no other role to be alive. Its settings are those of ``certs``, changed."""

    reload_interval: ClassVar[float] = MUTUAL["reload_interval"]

    def __init__(self, data: Path) -> None:
        self.data = data
        self.certs = data / "certs"
        self.port = Port.free().number
        self._running: RoleServer | None = None

    async def start(self, **tls: object) -> "TlsServer":
        settings = Settings.model_validate(
            {
                "base_directory": self.data,
                "ingester": {"port": self.port},
                "tls": {name: value for name, value in {**MUTUAL, **tls}.items() if value is not None},
            }
        )
        self._running = RoleServer("ingester", settings)
        await self._running.start()
        return self

    async def stop(self) -> None:
        if self._running is not None:
            await self._running.stop()

    def client_context(self, client: str | None = "query-client") -> ssl.SSLContext:
        """What a client of another make would use."""
        context = ssl.create_default_context(cafile=self.certs / "ca.crt")
        if client is not None:
            context.load_cert_chain(self.certs / f"{client}.crt", self.certs / f"{client}.key")
        return context

    @asynccontextmanager
    async def session(self, client: str | None = "query-client") -> AsyncGenerator[ClientSession, None]:
        """Requests with the certificate of ``client``; one connection, kept as long as it lives."""
        context = await asyncio.to_thread(self.client_context, client)
        async with ClientSession(
            f"https://127.0.0.1:{self.port}", connector=TCPConnector(ssl=context, limit=1)
        ) as session:
            yield session

    async def get(
        self,
        path: str = LIVE,
        *,
        client: str | None = "query-client",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, over a connection of its own."""
        async with self.session(client) as session, session.get(path, headers=headers) as response:
            return Answer(response.status, response.headers, await response.read())

    async def metric(self, name: str, **labels: str) -> float:
        """The present value of one of its samples; 0 when there is none."""
        answer = await self.get("/metrics", client="admin-client")
        return sample(answer.body.decode(), name, **labels)

    async def openssl(self, *arguments: str, client: str | None = "query-client", sent: str = "") -> str:
        """What ``openssl s_client`` prints, after it has sent ``sent`` and heard the end."""
        shown = () if client is None else ("-cert", self._of(client, "crt"), "-key", self._of(client, "key"))
        process = await asyncio.create_subprocess_exec(
            *("openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-CAfile", self._of("ca", "crt")),
            *(*shown, *arguments),
            stdin=PIPE,
            stdout=PIPE,
            stderr=STDOUT,
        )
        printed, _ = await asyncio.wait_for(process.communicate(sent.encode()), 20)
        return printed.decode(errors="replace")

    def _of(self, name: str, suffix: str) -> str:
        return str(self.certs / f"{name}.{suffix}")
