"""An ingester among the roles it speaks to, and what clients and operators do with it."""

import asyncio
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from aiohttp import FormData

from tests.services.admin.harness import eventually
from tests.services.roles import Roles, RoleServer, described
from tests.services.storage_element.harness import Answer

MIB: Final = 1024 * 1024


class Ingesting:
    """A client of one ingester, who can also look behind it."""

    def __init__(
        self, roles: Roles, *, admin: RoleServer, ingester: RoleServer, elements: Sequence[RoleServer]
    ) -> None:
        self.roles = roles
        self.admin = admin
        self.ingester = ingester
        self.elements = elements

    async def post(
        self,
        content: bytes | AsyncIterator[bytes] = b"content",
        *,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        **attributes: Any,
    ) -> Answer:
        """Upload under a new id."""
        return await self._send("POST", "/api/v1/files", content, headers, token, attributes)

    async def put(
        self,
        file_id: UUID,
        content: bytes | AsyncIterator[bytes] = b"content",
        *,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        **attributes: Any,
    ) -> Answer:
        """Upload under an id of the client's choice."""
        return await self._send(
            "PUT", f"/api/v1/files/{file_id}/content", content, headers, token, attributes
        )

    async def post_form(
        self, content: bytes = b"content", *, name: str = "report.txt", **fields: str
    ) -> Answer:
        """Upload in a form."""
        form = FormData(quote_fields=False)
        for field, value in fields.items():
            form.add_field(field, value)
        form.add_field("file", io.BytesIO(content), filename=name)
        return await self.roles.request("POST", f"{self.ingester.url}/api/v1/files/upload", data=form)

    async def registered(self, file_id: str) -> Answer:
        """What the registry says of a file."""
        return await self.roles.request("GET", f"{self.admin.url}/api/v1/files/{file_id}")

    async def content(self, file_id: str, element: RoleServer | None = None) -> bytes:
        """The bytes that an element keeps."""
        url = (element or self.elements[0]).url
        answer = await self.roles.request("GET", f"{url}/api/v1/files/{file_id}/download")
        assert answer.status == 200, answer
        return answer.body

    async def metric(self, name: str, **labels: str) -> float:
        """A sample of the ingester."""
        return await self.roles.metric(self.ingester, f"artstore_ingester_{name}", **labels)

    async def wait_for_elements(self, number: int) -> None:
        """Until the ingester knows so many elements."""

        async def knows() -> bool:
            readiness = await self.roles.readiness(self.ingester)
            return bool(readiness["checks"]["elements"]["detail"] == f"{number} known")

        await eventually(knows)

    async def wait_until_nothing_is_kept(self) -> None:
        """Until no upload is under way, and the elements have nothing of those that failed."""

        async def is_clean() -> bool:
            is_idle = await self.metric("uploads_active") == 0
            return is_idle and not any(self.kept(e.settings.element.element_id) for e in self.elements)

        await eventually(is_clean)

    def kept(self, element_id: str = "se-01") -> list[Path]:
        """Everything that an element keeps of files, and of uploads under way."""
        root = self.roles.data / "storage" / element_id
        found = [*root.glob("[0-9]*/**/*"), *root.glob(".artstore/staging/**/*")]
        return sorted(path for path in found if path.is_file())

    async def _send(
        self,
        method: str,
        path: str,
        content: bytes | AsyncIterator[bytes],
        headers: Mapping[str, str] | None,
        token: str | None,
        attributes: Mapping[str, Any],
    ) -> Answer:
        sent = {**described(**attributes), **(headers or {})}
        data = io.BytesIO(content) if isinstance(content, bytes) else content
        return await self.roles.request(
            method, f"{self.ingester.url}{path}", data=data, headers=sent, token=token
        )


async def start_ingesting(
    roles: Roles,
    elements: Sequence[RoleServer],
    *,
    urls: Sequence[str] | None = None,
    **sections: Mapping[str, object],
) -> Ingesting:
    """Start admin and an ingester (with ``sections``) that know ``elements``, under ``urls`` if given."""
    known = urls or [element.url for element in elements]
    admin = await roles.start("admin", admin={"elements": known})
    await roles.wait_until_registered(admin, len(known))  # the ingester may not look again for long
    ingester = await roles.start("ingester", **sections)
    ingesting = Ingesting(roles, admin=admin, ingester=ingester, elements=elements)
    await ingesting.wait_for_elements(len(known))
    return ingesting


async def pieces(size: int, *, pause: float = 0.0) -> AsyncIterator[bytes]:
    """``size`` bytes in chunks, which an HTTP client sends without saying how many there will be."""
    for start in range(0, size, MIB // 4):
        await asyncio.sleep(pause)
        yield bytes([start // (MIB // 4) % 256]) * min(MIB // 4, size - start)


def whole(size: int) -> bytes:
    """What :func:`pieces` sends."""
    return b"".join(
        bytes([start // (MIB // 4) % 256]) * min(MIB // 4, size - start) for start in range(0, size, MIB // 4)
    )
