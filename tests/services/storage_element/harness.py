"""A real storage element on a real socket, and a client that knows its API."""

import asyncio
import hashlib
import io
import json
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit
from uuid import UUID

from aiohttp import ClientSession, web

from artstore.core import registry as kinds
from artstore.core.app import Open, Resource, build_app
from artstore.core.audit.trail import AuditTrail, open_trail
from artstore.core.config import PluginSection, Settings
from artstore.core.ids import new_file_id
from artstore.core.keys import AUDIT, AUTHENTICATOR, CATALOG, METRICS, STOPPING, STORAGE
from artstore.core.registry import Kind, Registry
from artstore.core.secrets import SecretsChain
from artstore.core.server import Listener, bound
from artstore.core.spec import StorageBackend
from artstore.core.testing import TokenMint
from artstore.core.upload_attributes import ATTRIBUTES_HEADER, UploadAttributes
from artstore.services.storage_element import ROLE
from artstore.services.storage_element.clock import Clock
from artstore.services.storage_element.keys import CLOCK

ALL_SCOPES: Final = (
    "storage:read storage:write storage:delete storage:admin storage:finalize uploads:delegate"
)
CATALOG_PATH: Final = "storage/.artstore/catalog.db"
SPOOL: Final = "audit"
POLL_INTERVAL: Final = 0.01
MINT: Final = TokenMint()
TEMPORARY: Final[Mapping[str, Any]] = {"retention_policy": "temporary"}
"""Attributes of a file that may be deleted."""

WHEN_READ: Final = {"Expect": "100-continue"}
"""Nothing of a body is sent before the element reads it."""

NOTHING: Final = {"fraction": 0, "size": 0}
NOTHING_KEPT_FREE: Final = {"capacity": {"warning": NOTHING, "critical": NOTHING, "full": NOTHING}}
Options = Mapping[str, Any]
"""A section of the configuration."""
WrapStorage = Callable[[StorageBackend], StorageBackend]


class SlowBody:
    """A body of which nothing comes before it ``may_go_on``; with ``WHEN_READ``, it ``is_read`` by then."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.is_read = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        self.is_read.set()
        await self.may_go_on.wait()
        yield self._content


class StartElement(Protocol):
    """Starts an element; sections of its configuration by keyword."""

    def __call__(
        self, *, wrap: WrapStorage = ..., clock: Clock | None = ..., **sections: Mapping[str, object]
    ) -> AbstractAsyncContextManager["ElementClient"]: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """The stable code of the problem."""
        assert self.headers["Content-Type"] == "application/problem+json", self
        return str(self.json()["type"]).removeprefix("urn:artstore:problem:")


def element_settings(data: Path, *, jwks_url: str, **sections: Mapping[str, object]) -> Settings:
    """The embedded default below ``data``, trusting the test issuer."""
    return Settings.model_validate(
        {
            "base_directory": data,
            "auth": {
                "type": "oauth",
                "issuer": MINT.issuer,
                "audience": MINT.audience,
                "jwks_url": jwks_url,
            },
            **sections,
        }
    )


def element_app(
    settings: Settings, *, wrap: WrapStorage = lambda storage: storage, has_trail: bool = False
) -> web.Application:
    """The element's application, with the plugins that ``settings`` names, its storage wrapped.

    With ``has_trail``, it records in :data:`SPOOL`, from where nothing is shipped.
    """
    registry = Registry(base_directory=settings.base_directory)
    open_storage = _plugin(registry, kinds.STORAGE, settings.storage)

    @asynccontextmanager
    async def open_wrapped(app: web.Application) -> AsyncGenerator[StorageBackend, None]:
        async with open_storage(app) as storage:
            yield wrap(storage)

    def open_spool(app: web.Application) -> AbstractAsyncContextManager[AuditTrail]:
        directory, limit = settings.base_directory / SPOOL, settings.audit.spool_size
        return open_trail(directory, role="element", limit=limit, registry=app[METRICS].registry)

    return build_app(
        ROLE,
        [
            *([Resource(AUDIT, open_spool)] if has_trail else []),
            Resource(STORAGE, open_wrapped),
            Resource(CATALOG, _plugin(registry, kinds.METADATA, settings.catalog)),
            Resource(AUTHENTICATOR, _plugin(registry, kinds.AUTH, settings.auth)),
        ],
        settings=settings,
    )


def _plugin(registry: Registry, kind: Kind[Any], section: PluginSection) -> Open:
    registry.provider(kind, section.type)

    def opened(app: web.Application) -> AbstractAsyncContextManager[Any]:
        return registry.open(kind, section, secrets=SecretsChain(), metrics=app[METRICS])

    return opened


@asynccontextmanager
async def listening(app: web.Application) -> AsyncGenerator[str, None]:
    """Serve ``app`` as :mod:`artstore.core.server` does, on a port of the kernel's choice; its URL."""
    async with bound(Listener("element", app, "127.0.0.1", 0)) as server:
        try:
            await server.start()
            yield f"http://127.0.0.1:{server.port}"
        finally:
            app[STOPPING].set()
            await server.stop(grace_period=1)


class ElementClient:
    """Speaks to one element with every scope, unless told otherwise."""

    def __init__(self, session: ClientSession, url: str, *, root: Path) -> None:
        self.url = url
        self.root = root
        self.token = MINT(scope=ALL_SCOPES)
        self._session = session

    async def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        json: object = None,
    ) -> Answer:
        sent = {"Authorization": f"Bearer {token or self.token}", **(headers or {})}
        async with self._session.request(
            method, f"{self.url}{path}", headers=sent, data=data, json=json, allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def put(
        self,
        content: bytes | AsyncIterable[bytes],
        *,
        file_id: UUID | None = None,
        name: str = "report.bin",
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        **attributes: Any,
    ) -> Answer:
        """Store ``content`` by a raw PUT."""
        described = UploadAttributes(original_filename=name, **attributes).encode_header()
        return await self.request(
            "PUT",
            f"/api/v1/files/{file_id or new_file_id()}/content",
            data=io.BytesIO(content) if isinstance(content, bytes) else content,
            headers={ATTRIBUTES_HEADER: described, **(headers or {})},
            token=token,
        )

    async def stored(
        self, content: bytes | AsyncIterable[bytes] = b"content", **attributes: Any
    ) -> dict[str, Any]:
        """Store ``content``, which must succeed; the attributes of the file."""
        answer = await self.put(content, **attributes)
        assert answer.status == 201, answer
        found: dict[str, Any] = answer.json()["attributes"]
        return found

    async def get(self, path: str, **query: object) -> Any:
        """GET JSON, which must succeed."""
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        answer = await self.request("GET", f"{path}?{asked}")
        assert answer.status == 200, answer
        return answer.json()

    async def download(self, file_id: str) -> bytes:
        answer = await self.request("GET", f"/api/v1/files/{file_id}/download")
        assert answer.status == 200, answer
        return answer.body

    async def file_ids(self) -> list[str]:
        """Ids of all files, as listed."""
        listed = await self.get("/api/v1/files", limit=1000)
        assert not listed["has_more"]
        return [item["file_id"] for item in listed["items"]]

    async def metric(self, name: str, **labels: str) -> float:
        """The present value of a sample; 0 when there is none."""
        answer = await self.request("GET", "/metrics")
        for line in answer.body.decode().splitlines():
            sample, _, value = line.rpartition(" ")
            if sample.partition("{")[0] == name and all(f'{k}="{v}"' in sample for k, v in labels.items()):
                return float(value)
        return 0.0

    async def wait_for_metric(self, name: str, value: float, **labels: str) -> None:
        """Return when a sample has ``value``."""
        while True:
            if await self.metric(name, **labels) == value:
                return
            await asyncio.sleep(POLL_INTERVAL)

    async def wait_for_upload(self, outcome: str) -> None:
        """Return when the first upload has ended with ``outcome``."""
        await self.wait_for_metric(
            "artstore_element_operations_total", 1, operation="upload", outcome=outcome
        )

    async def assert_nothing_kept(self) -> None:
        """No file, no temporary file, nothing pending."""
        assert await self.placed_files() == []
        assert self.staged_files() == []
        assert await self.file_ids() == []
        assert await self.metric("artstore_element_wal_pending") == 0

    async def placed_files(self) -> list[Path]:
        """As :meth:`data_files`, once all that was acknowledged is in its place."""
        await self.wait_for_metric("artstore_plugin_storage_local_commit_log_objects", 0)
        return self.data_files()

    def data_files(self) -> list[Path]:
        """Every file in the root but what describes the root itself and the working area."""
        return sorted(path for path in self.root.glob("[0-9]*/**/*") if path.is_file())

    def staged_files(self) -> list[Path]:
        return sorted((self.root / ".artstore" / "staging").iterdir())


@asynccontextmanager
async def running_element(
    settings: Settings,
    *,
    wrap: WrapStorage = lambda storage: storage,
    clock: Clock | None = None,
    has_trail: bool = False,
) -> AsyncGenerator[ElementClient, None]:
    """A started element and its client."""
    # In a thread: finding plugins reads the disk.
    app = await asyncio.to_thread(element_app, settings, wrap=wrap, has_trail=has_trail)
    if clock is not None:
        app[CLOCK] = clock
    async with ClientSession() as session, listening(app) as url:
        yield ElementClient(session, url, root=settings.base_directory / "storage")


@asynccontextmanager
async def connection(
    element: ElementClient,
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
    """A bare connection, for what no HTTP library would send."""
    parts = urlsplit(element.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield reader, writer
    finally:
        writer.close()


def upload_head(file_id: UUID, *, content_length: int, **attributes: Any) -> bytes:
    """The head of a raw upload."""
    described = UploadAttributes(original_filename="a.txt", **attributes).encode_header()
    lines = [
        f"PUT /api/v1/files/{file_id}/content HTTP/1.1",
        "Host: element",
        f"Authorization: Bearer {MINT(scope=ALL_SCOPES)}",
        f"{ATTRIBUTES_HEADER}: {described}",
        f"Content-Length: {content_length}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def lose_catalog(data: Path) -> None:
    """Delete the catalog of a stopped element."""
    for path in (data / CATALOG_PATH).parent.glob("catalog.db*"):
        path.unlink()


def in_catalog(data: Path, *statements: str) -> None:
    """Change the catalog of a stopped element behind its back."""
    with closing(sqlite3.connect(data / CATALOG_PATH)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
