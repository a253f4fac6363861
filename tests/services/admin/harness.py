"""A real admin on a real socket, real storage elements beside it, and a client that knows the API."""

import asyncio
import base64
import json
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from aiohttp import ClientSession, encode_basic_auth, web

from artstore.cli.composition import make_app
from artstore.core.client.tokens import ClientCredentials
from artstore.core.config import Settings
from artstore.core.ids import new_file_id
from artstore.core.keys import STOPPING
from artstore.core.server import Listener, bound
from artstore.core.upload_attributes import ATTRIBUTES_HEADER, UploadAttributes
from tests.ports import free_ports
from tests.services.storage_element.harness import Answer

T = TypeVar("T")

TOKEN: Final = "/api/v1/auth/token"
ACCOUNTS: Final = "/api/v1/service-accounts"
ELEMENTS: Final = "/api/v1/storage-elements"
FILES: Final = "/api/v1/files"
PATIENCE: Final = 20.0
"""Seconds after which what should happen soon has not happened."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port of this machine, which a server can have again after a restart."""

    number: int

    @classmethod
    def free(cls) -> "Port":
        """One that is free now."""
        return cls(free_ports())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.number}"


def admin_settings(
    data: Path,
    port: Port,
    *,
    elements: Sequence[str] = (),
    token_lifetime: int = 1800,
    issuer: str | None = None,
    signing_keys: Mapping[str, object] | None = None,
    admin_options: Mapping[str, object] = MappingProxyType({}),
    **sections: object,
) -> Settings:
    """The embedded default below ``data``, with ``elements`` to register at start.

    One of several processes is told the ``issuer`` that all of them are.
    """
    admin = {
        "port": port.number,
        "elements": elements,
        "token_lifetime": token_lifetime,
        "signing_keys": signing_keys or {},
        **admin_options,
    }
    return Settings.model_validate({"base_directory": data, "issuer": issuer, "admin": admin, **sections})


@asynccontextmanager
async def listening(app: web.Application, port: Port) -> AsyncGenerator[None, None]:
    """Serve ``app`` as :mod:`artstore.core.server` does."""
    async with bound(Listener("admin", app, "127.0.0.1", port.number)) as server:
        try:
            await server.start()
            yield
        finally:
            app[STOPPING].set()
            await server.stop(grace_period=1)


class AdminClient:
    """Speaks to one admin, as its administrator unless told otherwise."""

    def __init__(self, session: ClientSession, url: str, *, data: Path, stopping: asyncio.Event) -> None:
        self.url = url
        self.data = data
        self.stopping = stopping
        self.secrets = data / "secrets"
        self._session = session
        self._token: str | None = None

    def credentials(self, name: str = "administrator") -> ClientCredentials:
        """Of a system account, as its secret file has them."""
        return ClientCredentials.parse((self.secrets / f"client-{name}").read_text())

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        data: Any = None,
        json: object = None,
    ) -> Answer:
        """A request with no credentials but those in ``headers``."""
        async with self._session.request(
            method, self.url + path, headers=headers, data=data, json=json, allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def request(
        self, method: str, path: str, *, token: str | None = None, json: object = None
    ) -> Answer:
        """A request with an access token."""
        bearer = token or await self.administrator_token()
        return await self.send(method, path, headers={"Authorization": f"Bearer {bearer}"}, json=json)

    async def send_to(
        self, url: str, method: str, path: str, *, token: str | None = None, json: object = None
    ) -> Answer:
        """A request to another role, or another admin."""
        headers = {"Authorization": f"Bearer {token or await self.administrator_token()}"}
        async with self._session.request(method, url + path, headers=headers, json=json) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **query: object) -> Any:
        """GET JSON, which must succeed."""
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        answer = await self.request("GET", f"{path}?{asked}")
        assert answer.status == 200, answer
        return answer.json()

    async def ask_token(self, credentials: ClientCredentials, **parameters: str) -> Answer:
        """Ask for a token by a form with HTTP Basic."""
        basic = encode_basic_auth(credentials.client_id, credentials.client_secret)
        form = {"grant_type": "client_credentials", **parameters}
        return await self.send("POST", TOKEN, headers={"Authorization": basic}, data=form)

    async def token(self, credentials: ClientCredentials, **parameters: str) -> str:
        """A token, which must be given."""
        answer = await self.ask_token(credentials, **parameters)
        assert answer.status == 200, answer
        return str(answer.json()["access_token"])

    async def administrator_token(self) -> str:
        if self._token is None:
            self._token = await self.token(self.credentials())
        return self._token

    async def create_account(self, name: str = "billing", **fields: object) -> dict[str, Any]:
        """A new account, which must be made; by default it may read files."""
        answer = await self.request("POST", ACCOUNTS, json={"name": name, "role": "READONLY"} | fields)
        assert answer.status == 201, answer
        account: dict[str, Any] = answer.json()
        return account

    async def metric(self, name: str, **labels: str) -> float | None:
        """The present value of a sample; ``None`` when there is none."""
        answer = await self.send("GET", "/metrics")
        for line in answer.body.decode().splitlines():
            sample, _, value = line.rpartition(" ")
            if sample.partition("{")[0] == name and all(f'{k}="{v}"' in sample for k, v in labels.items()):
                return float(value)
        return None

    async def check(self, name: str) -> str:
        """The status of one check of the readiness."""
        answer = await self.send("GET", "/health/ready")
        return str(answer.json()["checks"][name]["status"])


@asynccontextmanager
async def running_admin(settings: Settings) -> AsyncGenerator[AdminClient, None]:
    """A started admin and its client."""
    app = await asyncio.to_thread(make_app, "admin", settings)  # finding plugins reads the disk
    port = Port(settings.port("admin"))
    async with listening(app, port), ClientSession() as session:
        yield AdminClient(session, port.url, data=settings.base_directory, stopping=app[STOPPING])


class ElementServer:
    """A storage element that can be stopped, started and robbed."""

    def __init__(
        self,
        data: Path,
        admin: Port,
        *,
        element_id: str = "se-01",
        mode: str = "edit",
        priority: int = 100,
        place: Port | None = None,
        auth: Mapping[str, object] | None = None,
        directory: str | None = None,
        **element: Any,
    ) -> None:
        self.port = place or Port.free()
        self.stopping = asyncio.Event()
        self._settings = Settings.model_validate(
            {
                "base_directory": data / (directory or element_id),
                "element": {"element_id": element_id, "mode": mode, "priority": priority, **element},
                "admin": {"url": admin.url},
                "auth": auth or {"type": "oauth"},
                "secrets": [{"type": "file", "directory": data / "secrets"}],
            }
        )

    @property
    def url(self) -> str:
        return self.port.url

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["ElementServer", None]:
        app = await asyncio.to_thread(make_app, "element", self._settings)
        self.stopping = app[STOPPING]
        async with listening(app, self.port):
            yield self

    async def put(
        self,
        token: str,
        *,
        name: str = "report.txt",
        content: bytes = b"text",
        file_id: str | None = None,
        **attributes: Any,
    ) -> dict[str, Any]:
        """Store a file, which must succeed; what the element answers."""
        described = UploadAttributes(original_filename=name, **attributes).encode_header()
        path = f"/api/v1/files/{file_id or new_file_id()}/content"
        return await self._change(token, "PUT", path, {ATTRIBUTES_HEADER: described}, data=content)

    async def patch(self, token: str, stored: dict[str, Any], **change: object) -> dict[str, Any]:
        """Change the attributes of a file that :meth:`put` stored."""
        path = f"/api/v1/files/{stored['attributes']['file_id']}"
        return await self._change(token, "PATCH", path, json=change)

    async def delete(self, token: str, stored: dict[str, Any]) -> dict[str, Any]:
        """Delete a file that :meth:`put` stored."""
        return await self._change(token, "DELETE", f"/api/v1/files/{stored['attributes']['file_id']}")

    async def collect(self, token: str) -> dict[str, Any]:
        """Have its garbage collected; the report."""
        return await self._change(token, "POST", "/api/v1/gc", json={"dry_run": False})

    def lose(self, pattern: str) -> None:
        """Take files from the stopped element, and its catalog, which must then be rebuilt."""
        root = self._settings.base_directory / "storage"
        lost = [*root.glob(f"[0-9]*/**/{pattern}"), *root.glob(".artstore/catalog.db*")]
        for file in lost:
            file.unlink()

    async def _change(
        self, token: str, method: str, path: str, headers: Mapping[str, str] | None = None, **body: Any
    ) -> dict[str, Any]:
        sent = {"Authorization": f"Bearer {token}", **(headers or {})}
        async with (
            ClientSession() as session,
            session.request(method, self.url + path, headers=sent, **body) as response,
        ):
            assert response.status in (200, 201), await response.text()
            stored: dict[str, Any] = await response.json()
            return stored


async def sql(
    admin: AdminClient, statement: str, parameters: Mapping[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    """Run one statement on the database behind a running admin's back."""
    return await sql_in(admin.data, statement, parameters)


async def sql_in(
    data: Path, statement: str, parameters: Mapping[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    """Run one statement on the database in ``data`` behind its users' backs."""
    return await asyncio.to_thread(run_sql, data, statement, parameters)


async def sql_at_once(admin: AdminClient, *statements: str) -> None:
    """Run statements behind a running admin's back, which writes nothing between them."""

    def run() -> None:
        with closing(sqlite3.connect(admin.data / "index.db", timeout=PATIENCE)) as database, database:
            database.execute("BEGIN IMMEDIATE")
            for statement in statements:
                database.execute(statement)

    await asyncio.to_thread(run)


def run_sql(data: Path, statement: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """Run one statement on the database in ``data``."""
    with closing(sqlite3.connect(data / "index.db", timeout=PATIENCE)) as database, database:
        return database.execute(statement, parameters or {}).fetchall()


def lose_database(data: Path) -> None:
    """What an operator does who believes that databases are only caches."""
    for file in data.glob("*.db*"):
        file.unlink()


async def eventually(
    happens: Callable[[], Awaitable[T]], *, patience: float = PATIENCE, pause: float = 0.05
) -> T:
    """What ``happens`` returns once it is true."""
    async with asyncio.timeout(patience):
        while not (result := await happens()):  # noqa: ASYNC110 - what is waited for is elsewhere
            await asyncio.sleep(pause)
        return result


def claims_of(token: str, *, part: int = 1) -> dict[str, Any]:
    """What a token says, unverified; ``part`` 0 is its header."""
    text = token.split(".")[part]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found
