"""A real admin on a real socket, real storage elements beside it, and a client that knows the API."""

import asyncio
import base64
import json
import socket
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from aiohttp import ClientSession, encode_basic_auth, web
from tests.services.storage_element.harness import Answer, element_app

from artstore.core import registry as kinds
from artstore.core.app import Open, Resource, build_app
from artstore.core.client.roles import RoleClient, open_role_client
from artstore.core.client.tokens import ClientCredentials
from artstore.core.config import PluginSection, Settings
from artstore.core.ids import new_file_id
from artstore.core.keys import AUTHENTICATOR, CACHE, CLIENT, DATABASE, METRICS, SECRETS, STOPPING
from artstore.core.registry import Kind, Registry
from artstore.core.secrets import SecretsChain
from artstore.core.server import MAX_HEADER_SIZE, READ_BUFFER
from artstore.core.spec import UnavailableError
from artstore.core.upload_attributes import ATTRIBUTES_HEADER, UploadAttributes
from artstore.services.admin import ROLE

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
        """One of the kernel's choice."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return cls(int(probe.getsockname()[1]))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.number}"


def admin_settings(
    data: Path,
    port: Port,
    *,
    elements: Sequence[str] = (),
    token_lifetime: int = 1800,
    **sections: object,
) -> Settings:
    """The embedded default below ``data``, with ``elements`` to register at start."""
    admin = {"port": port.number, "elements": elements, "token_lifetime": token_lifetime}
    auth = {"type": "oauth", "issuer": port.url, "audience": "artstore"}
    return Settings.model_validate({"base_directory": data, "admin": admin, "auth": auth, **sections})


def admin_app(settings: Settings) -> web.Application:
    """The admin's application, with the plugins that ``settings`` names."""
    registry = Registry(base_directory=settings.base_directory)
    return build_app(
        ROLE,
        [
            Resource(SECRETS, _secrets(registry, settings)),
            Resource(CACHE, _plugin(registry, kinds.CACHE, settings.cache)),
            Resource(DATABASE, _plugin(registry, kinds.METADATA, settings.metadata)),
            Resource(AUTHENTICATOR, _plugin(registry, kinds.AUTH, settings.auth)),
            Resource(CLIENT, _client(settings)),
        ],
        settings=settings,
    )


def _plugin(registry: Registry, kind: Kind[Any], section: PluginSection) -> Open:
    registry.provider(kind, section.type)

    def opened(app: web.Application) -> AbstractAsyncContextManager[Any]:
        return registry.open(kind, section, secrets=app[SECRETS], metrics=app[METRICS])

    return opened


def _secrets(registry: Registry, settings: Settings) -> Open:
    for section in settings.secrets:
        registry.provider(kinds.SECRETS, section.type)

    @asynccontextmanager
    async def opened(app: web.Application) -> AsyncGenerator[SecretsChain, None]:
        async with AsyncExitStack() as stack:
            opening = [
                registry.open(kinds.SECRETS, section, secrets=SecretsChain(), metrics=app[METRICS])
                for section in settings.secrets
            ]
            yield SecretsChain([await stack.enter_async_context(each) for each in opening])

    return opened


def _client(settings: Settings) -> Open:
    def opened(app: web.Application) -> AbstractAsyncContextManager[RoleClient]:
        async def credentials() -> ClientCredentials:
            value = await app[SECRETS].get("client-admin")
            if value is None:
                raise UnavailableError("secret client-admin is not there yet")
            return ClientCredentials.parse(value.text())

        return open_role_client(token_url=settings.url("admin") + TOKEN, credentials=credentials)

    return opened


@asynccontextmanager
async def listening(app: web.Application, port: Port) -> AsyncGenerator[None, None]:
    """Serve ``app`` as :mod:`artstore.core.server` does."""
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=1,
        read_bufsize=READ_BUFFER,
        max_field_size=MAX_HEADER_SIZE,
        auto_decompress=False,
    )
    try:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port.number).start()
        yield
    finally:
        app[STOPPING].set()
        await runner.cleanup()


class AdminClient:
    """Speaks to one admin, as its administrator unless told otherwise."""

    def __init__(self, session: ClientSession, url: str, *, data: Path) -> None:
        self.url = url
        self.data = data
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
    app = await asyncio.to_thread(admin_app, settings)  # finding plugins reads the disk
    port = Port(settings.port("admin"))
    async with listening(app, port), ClientSession() as session:
        yield AdminClient(session, port.url, data=settings.base_directory)


class ElementServer:
    """A storage element that can be stopped, started and robbed of its catalog."""

    def __init__(self, data: Path, admin: Port, *, element_id: str = "se-01", mode: str = "edit") -> None:
        self.element_id = element_id
        self.port = Port.free()
        self.data = data / element_id
        self._settings = Settings.model_validate(
            {
                "base_directory": self.data,
                "element": {"element_id": element_id, "mode": mode},
                "auth": {"type": "oauth", "issuer": admin.url, "audience": "artstore"},
            }
        )

    @property
    def url(self) -> str:
        return self.port.url

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["ElementServer", None]:
        app = await asyncio.to_thread(element_app, self._settings)
        async with listening(app, self.port):
            yield self

    async def put(self, token: str, *, name: str = "report.txt", content: bytes = b"text") -> dict[str, Any]:
        """Store a file, which must succeed; what the element answers."""
        described = UploadAttributes(original_filename=name).encode_header()
        headers = {"Authorization": f"Bearer {token}", ATTRIBUTES_HEADER: described}
        async with (
            ClientSession() as session,
            session.put(
                f"{self.url}/api/v1/files/{new_file_id()}/content", data=content, headers=headers
            ) as response,
        ):
            assert response.status == 201, await response.text()
            stored: dict[str, Any] = await response.json()
            return stored


async def sql(
    admin: AdminClient, statement: str, parameters: Mapping[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    """Run one statement on the database behind a running admin's back."""

    def run() -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(admin.data / "index.db", timeout=PATIENCE)) as database, database:
            return database.execute(statement, parameters or {}).fetchall()

    return await asyncio.to_thread(run)


def lose_database(data: Path) -> None:
    """What an operator does who believes that databases are only caches."""
    for file in data.glob("*.db*"):
        file.unlink()


async def eventually(happens: Callable[[], Awaitable[T]], *, patience: float = PATIENCE) -> T:
    """What ``happens`` returns once it is true."""
    async with asyncio.timeout(patience):
        while not (result := await happens()):  # noqa: ASYNC110 - what is waited for is elsewhere
            await asyncio.sleep(0.05)
        return result


def claims_of(token: str, *, part: int = 1) -> dict[str, Any]:
    """What a token says, unverified; ``part`` 0 is its header."""
    text = token.split(".")[part]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found
