"""Real roles on real sockets, one by one: each can be stopped, changed and started again."""

import asyncio
import os
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Final
from uuid import UUID

from aiohttp import ClientConnectionError, ClientSession, encode_basic_auth

from artstore.cli.composition import make_app
from artstore.core.config import RoleName, Settings
from artstore.core.keys import STOPPING
from artstore.core.server import Listener, bound
from artstore.core.upload_attributes import ATTRIBUTES_HEADER, UploadAttributes
from tests.cluster import artstore
from tests.forked import UNMEASURED
from tests.services.admin.harness import Port, eventually
from tests.services.storage_element.harness import Answer

TOKEN: Final = "/api/v1/auth/token"


class RoleServer:
    """One role. It listens on the same port after a restart."""

    def __init__(self, role: RoleName, settings: Settings) -> None:
        self.role: RoleName = role
        self.settings = settings
        self._running = AsyncExitStack()

    @property
    def url(self) -> str:
        return self.settings.url(self.role)

    async def start(self, settings: Settings | None = None) -> "RoleServer":
        """Listen, with other settings if they are given."""
        self.settings = settings or self.settings
        app = await asyncio.to_thread(make_app, self.role, self.settings)  # finding plugins reads the disk
        listener = Listener(self.role, app, "127.0.0.1", self.settings.port(self.role))
        server = await self._running.enter_async_context(bound(listener))
        self._running.push_async_callback(server.stop, grace_period=1)
        self._running.callback(app[STOPPING].set)
        await server.start()
        return self

    async def stop(self) -> None:
        await self._running.aclose()
        self._running = AsyncExitStack()


class Roles:
    """The roles of one cluster below one directory; those that were started are stopped at the end."""

    singletons: ClassVar[Sequence[RoleName]] = ("admin", "ingester", "query")

    def __init__(self, data: Path, session: ClientSession) -> None:
        self.data = data
        self._ports = {role: Port.free().number for role in self.singletons}
        self.session = session
        self._servers: list[RoleServer] = []
        self._tokens: dict[str, str] = {}

    async def start(self, role: RoleName, **sections: Mapping[str, object]) -> RoleServer:
        """Start admin, ingester or query."""
        return await self._start(role, self.settings(**sections))

    async def start_element(
        self, element_id: str = "se-01", *, element: Mapping[str, object] | None = None, **sections: Any
    ) -> RoleServer:
        """Start a storage element below the same directory."""
        return await self._start("element", self.element_settings(element_id, element=element, **sections))

    def settings(self, **sections: Mapping[str, object]) -> Settings:
        """Of any role but an element; ``sections`` are merged into what all have."""
        common: dict[str, dict[str, object]] = {role: {"port": port} for role, port in self._ports.items()}
        common["ingester"]["elements_refresh"] = 0.2
        common["auth"] = {"type": "oauth", "refetch_cooldown": 0.2}
        for name, section in sections.items():
            common[name] = {**common.get(name, {}), **section}
        return Settings.model_validate({"base_directory": self.data, **common})

    def element_settings(
        self, element_id: str, *, element: Mapping[str, object] | None = None, **sections: Any
    ) -> Settings:
        """Of an element: its root is named after it."""
        own = {"element_id": element_id, "port": Port.free().number, **(element or {})}
        root = f"storage/{element_id}"
        return self.settings(
            element=own,
            storage={"type": "local", "root": root},
            catalog={"type": "sqlite", "path": f"{root}/.artstore/catalog.db", "synchronous": "normal"},
            **sections,
        )

    async def stop(self) -> None:
        for server in reversed(self._servers):
            await server.stop()

    async def token(self, account: str = "administrator") -> str:
        """An access token of a system account."""
        if account not in self._tokens:
            text = (self.data / "secrets" / f"client-{account}").read_text()
            client_id, _, client_secret = text.strip().partition(":")
            self._tokens[account] = await self.issue_to(client_id, client_secret)
        return self._tokens[account]

    def forget_tokens(self) -> None:
        """Admin has new keys."""
        self._tokens.clear()

    async def issue_to(self, client_id: str, client_secret: str) -> str:
        """An access token of any account."""
        async with self.session.post(
            self.settings().url("admin") + TOKEN,
            data={"grant_type": "client_credentials"},
            headers={"Authorization": encode_basic_auth(client_id, client_secret)},
        ) as response:
            assert response.status == 200, await response.text()
            return str((await response.json())["access_token"])

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        **arguments: Any,
    ) -> Answer:
        """One authenticated request to anywhere, as the administrator unless told otherwise."""
        sent = {"Authorization": f"Bearer {token or await self.token()}", **(headers or {})}
        async with self.session.request(
            method, url, headers=sent, allow_redirects=False, **arguments
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def metric(self, server: RoleServer, name: str, **labels: str) -> float:
        """The present value of a sample; 0 when there is none."""
        async with self.session.get(f"{server.url}/metrics") as response:
            text = await response.text()
        return sample(text, name, **labels)

    async def wait_until_indexed(self, admin: RoleServer, file_id: UUID) -> None:
        """Until a file that was stored at an element is known to the others."""

        async def is_indexed() -> bool:
            return (await self.request("GET", f"{admin.url}/api/v1/files/{file_id}")).status == 200

        await eventually(is_indexed)

    async def wait_until_registered(self, admin: RoleServer, number: int) -> None:
        """Until admin has as many elements: those of its configuration are registered when they answer."""

        async def are_registered() -> bool:
            answer = await self.request("GET", f"{admin.url}/api/v1/storage-elements")
            return answer.status == 200 and len(answer.json()["items"]) == number

        await eventually(are_registered)

    async def readiness(self, server: RoleServer) -> dict[str, Any]:
        """What a role says of itself."""
        async with self.session.get(f"{server.url}/health/ready") as response:
            found: dict[str, Any] = await response.json()
        return found

    async def _start(self, role: RoleName, settings: Settings) -> RoleServer:
        server = RoleServer(role, settings)
        self._servers.append(server)
        return await server.start()


class ChildRole:
    """A role in a process of its own, as an operator runs it: what it needs of the machine is only its."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def memory(self, *, peak: bool = False) -> int:
        """Resident bytes, now or at most so far."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        name = "VmHWM" if peak else "VmRSS"
        (line,) = [line for line in status.splitlines() if line.startswith(name)]
        return int(line.split()[1]) * 1024


@asynccontextmanager
async def child_role(
    roles: Roles, role: RoleName, *, settings: Settings | None = None, launcher: Sequence[str] = ()
) -> AsyncGenerator[ChildRole, None]:
    """``artstore run`` by way of ``launcher``, until it is ready, with the settings that ``roles`` gives the
    others; of an element, with what ``settings`` say of itself and where its root is.
    """
    settings = settings or roles.settings()
    config = roles.data / "artstore.toml"
    config.touch()
    said = {f"ARTSTORE__{each.upper()}__PORT": str(settings.port(each)) for each in roles.singletons}
    if role == "element":
        said |= _said_of_itself(settings)
    command = (*launcher, artstore(), "run", role, "--config", str(config))
    process = await asyncio.create_subprocess_exec(
        *command, env=os.environ | UNMEASURED | said, stderr=DEVNULL
    )

    async def is_ready() -> bool:
        assert process.returncode is None, f"{role} ended"
        try:
            async with ClientSession() as session, session.get(f"{settings.url(role)}/health/ready") as ready:
                return ready.status == 200
        except ClientConnectionError:
            return False

    try:
        await eventually(is_ready)
        yield ChildRole(process)
    finally:
        process.kill()
        await process.wait()


def _said_of_itself(settings: Settings) -> dict[str, str]:
    own, root = settings.element, f"storage/{settings.element.element_id}"
    return {
        "ARTSTORE__ELEMENT__ELEMENT_ID": own.element_id,
        "ARTSTORE__ELEMENT__PORT": str(own.port),
        "ARTSTORE__ELEMENT__PRIORITY": str(own.priority),
        "ARTSTORE__STORAGE": f'{{type = "local", root = "{root}"}}',
        "ARTSTORE__CATALOG": f'{{type = "sqlite", path = "{root}/.artstore/catalog.db"}}',
    }


def described(name: str = "report.txt", **attributes: Any) -> dict[str, str]:
    """The header that describes an upload."""
    return {ATTRIBUTES_HEADER: UploadAttributes(original_filename=name, **attributes).encode_header()}


def sample(text: str, name: str, **labels: str) -> float:
    """The value of a sample in the text of Prometheus; 0 when there is none."""
    for line in text.splitlines():
        described, _, value = line.rpartition(" ")
        if described.partition("{")[0] == name and all(f'{k}="{v}"' in described for k, v in labels.items()):
            return float(value)
    return 0.0
