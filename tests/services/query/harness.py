"""A query role among the others, and what its clients do."""

import asyncio
import io
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any
from uuid import UUID

from artstore.core.ids import new_file_id
from tests.services.admin.harness import eventually
from tests.services.roles import Roles, RoleServer, described
from tests.services.storage_element.harness import Answer


class Querying:
    """A client of one query role, who can also put files where it finds them."""

    def __init__(self, roles: Roles, *, query: RoleServer, admin: RoleServer, element: RoleServer) -> None:
        self.roles = roles
        self.query = query
        self.admin = admin
        self.element = element

    async def stored(
        self, content: bytes = b"content", *, content_type: str | None = None, **attributes: Any
    ) -> dict[str, Any]:
        """Store a file at the element, and wait until it is indexed; its attributes."""
        headers = described(**attributes)
        if content_type is not None:
            headers["Content-Type"] = content_type
        url = f"{self.element.url}/api/v1/files/{new_file_id()}/content"
        answer = await self.roles.request("PUT", url, data=io.BytesIO(content), headers=headers)
        assert answer.status == 201, answer
        file_attributes: dict[str, Any] = answer.json()["attributes"]

        async def is_indexed() -> bool:
            return (await self.get(f"/api/v1/files/{file_attributes['file_id']}")).status == 200

        await eventually(is_indexed)
        return file_attributes

    async def get(
        self, path: str, *, headers: Mapping[str, str] | None = None, token: str | None = None, **query: str
    ) -> Answer:
        return await self.roles.request(
            "GET", f"{self.query.url}{path}", headers=headers, token=token, params=query
        )

    async def search(self, **criteria: Any) -> Answer:
        return await self.roles.request("POST", f"{self.query.url}/api/v1/search", json=criteria)

    async def found(self, **criteria: Any) -> list[str]:
        """The names of the files that a search finds, sorted."""
        answer = await self.search(**criteria)
        assert answer.status == 200, answer
        return sorted(hit["original_filename"] for hit in answer.json()["items"])

    async def download(
        self, file_id: str | UUID, *, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Answer:
        url = f"{self.query.url}/api/v1/files/{file_id}/download"
        return await self.roles.request(method, url, headers=headers)

    async def metric(self, name: str, **labels: str) -> float:
        """A sample of the query role."""
        return await self.roles.metric(self.query, f"artstore_query_{name}", **labels)

    async def sql(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        """Change the index behind everybody's back."""

        def run() -> None:
            with closing(sqlite3.connect(self.roles.data / "index.db", timeout=20)) as database, database:
                database.execute(statement, parameters)

        await asyncio.to_thread(run)


async def start_querying(
    roles: Roles, *, element_url: str | None = None, element: RoleServer | None = None, **sections: Any
) -> Querying:
    """Start an element (unless there is one), admin, and query with ``sections``."""
    element = element or await roles.start_element()
    admin = await roles.start("admin", admin={"elements": [element_url or element.url]})
    query = await roles.start("query", **sections)
    return Querying(roles, query=query, admin=admin, element=element)
