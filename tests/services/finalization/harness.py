"""A cluster with an element for temporary and one for permanent files, and a client that finalizes."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from tests.services.admin.harness import eventually, sql_in
from tests.services.ingester.harness import Ingesting
from tests.services.roles import Roles, RoleServer
from tests.services.storage_element.harness import Answer, sha256

FINALIZATIONS: Final = "/api/v1/finalizations"
CONTENT: Final = bytes(range(256)) * 16 * 1024
SCHEDULED: Final = "source_removal_scheduled"
AT_ONCE: Final = {"source_removal_delay": 0.0}
"""The source is removed as soon as it may be."""


class Finalizing(Ingesting):
    """A client of one ingester that makes files permanent, and looks behind it."""

    async def temporary(self, content: bytes = b"content", **attributes: Any) -> str:
        """The id of a temporary file that was stored."""
        answer = await self.post(content, retention_policy="temporary", **attributes)
        assert answer.status == 201, answer.body
        return str(answer.json()["file_id"])

    async def finalize(
        self, file_id: str | UUID, *, key: str | None = None, json: object = None, token: str | None = None
    ) -> Answer:
        """Ask for it."""
        headers = {} if key is None else {"Idempotency-Key": key}
        url = f"{self.ingester.url}/api/v1/files/{file_id}/finalize"
        return await self.roles.request("POST", url, headers=headers, json=json, token=token)

    async def started(self, file_id: str, **arguments: Any) -> dict[str, Any]:
        """Ask for it, which must succeed."""
        answer = await self.finalize(file_id, **arguments)
        assert answer.status in (200, 202), answer
        said: dict[str, Any] = answer.json()
        return said

    async def look(self, finalization_id: str) -> dict[str, Any]:
        """How far it has come."""
        answer = await self.roles.request("GET", f"{self.ingester.url}{FINALIZATIONS}/{finalization_id}")
        assert answer.status == 200, answer
        said: dict[str, Any] = answer.json()
        return said

    async def hurry(self) -> None:
        """Whatever is to be done later is to be done now."""
        await sql_in(
            self.roles.data,
            "UPDATE finalizations SET next_attempt_at = 1 WHERE next_attempt_at IS NOT NULL",
        )

    async def reaches(self, finalization_id: str, *statuses: str, is_hurried: bool = False) -> dict[str, Any]:
        """What is said of it once it has one of these statuses; ``is_hurried`` skips the pauses before."""

        async def look() -> dict[str, Any] | None:
            if is_hurried:
                await self.hurry()
            said = await self.look(finalization_id)
            ended = {"completed", "rolled_back", "failed"} - set(statuses)
            if said["status"] in ended - {"failed"}:
                raise AssertionError(f"it ended otherwise: {said}")
            return said if said["status"] in statuses else None

        found = await eventually(look, patience=40)
        assert found is not None
        return found

    async def sidecar(self, file_id: str, element: RoleServer) -> dict[str, Any] | None:
        """What an element says of a file; ``None`` when it has none."""
        answer = await self.roles.request("GET", f"{element.url}/api/v1/files/{file_id}")
        assert answer.status in (200, 404), answer
        said: dict[str, Any] | None = answer.json() if answer.status == 200 else None
        return said

    async def holder(self, file_id: str) -> str | None:
        """The element on which the index has the file."""
        answer = await self.registered(file_id)
        return answer.json()["element_id"] if answer.status == 200 else None

    async def assert_permanent(self, file_id: str, content: bytes, element: RoleServer) -> dict[str, Any]:
        """The file is there for good, whole, and the index says so; its sidecar."""
        said = await self.sidecar(file_id, element)
        assert said is not None
        assert said["retention"]["policy"] == "permanent"
        assert said["retention"]["finalized_at"]
        assert not {"expires_at", "finalization"} & said["retention"].keys()
        assert said["checksum"] == sha256(content)
        assert await self.content(file_id, element) == content
        assert await self.holder(file_id) == said_id(element)
        return said

    async def assert_untouched(self, file_id: str, content: bytes, before: Mapping[str, Any]) -> None:
        """The file is where it was, temporary as it was, and nowhere else."""
        source, *others = self.elements
        said = await self.sidecar(file_id, source)
        assert said is not None
        changing = {"version", "updated_at"}
        assert {k: v for k, v in said.items() if k not in changing} == {
            k: v for k, v in before.items() if k not in changing
        }
        assert await self.content(file_id, source) == content
        assert await self.holder(file_id) == said_id(source)
        for other in others:
            assert await self.sidecar(file_id, other) is None


def said_id(element: RoleServer) -> str:
    """How an element is called."""
    return element.settings.element.element_id


async def start_elements(roles: Roles, *modes: str) -> list[RoleServer]:
    """An element of each mode, called ``se-`` and the mode, with a number from the second of one mode on."""
    names = [f"se-{mode}-{number}" if (number := modes[:place].count(mode)) else f"se-{mode}"
             for place, mode in enumerate(modes)]  # fmt: skip
    return [
        await roles.start_element(name, element={"mode": mode, "priority": 100 + place})
        for place, (name, mode) in enumerate(zip(names, modes, strict=True))
    ]


async def start_finalizing(
    roles: Roles,
    elements: Sequence[RoleServer] = (),
    *,
    modes: Sequence[str] = ("edit", "rw"),
    urls: Mapping[str, str] | None = None,
    admin: Mapping[str, object] = MappingProxyType({}),
) -> Finalizing:
    """Start admin and an ingester, and before them ``elements`` of these modes unless they run already.

    ``urls`` are where others find elements that are not to be reached directly.
    """
    elements = elements or await start_elements(roles, *modes)
    known = [(urls or {}).get(said_id(element), element.url) for element in elements]
    server = await roles.start("admin", admin={"elements": known, **admin})
    await roles.wait_until_registered(server, len(known))
    ingester = await roles.start("ingester")
    finalizing = Finalizing(roles, admin=server, ingester=ingester, elements=elements)
    await finalizing.wait_for_elements(len(elements))
    return finalizing


async def rewrite_sidecar(finalizing: Finalizing, element: RoleServer, **changes: Any) -> None:
    """Change the only active sidecar of an element behind its back: it starts again without its catalog.

    Members of ``retention`` are merged into it.
    """
    await element.stop()
    root = finalizing.roles.data / "storage" / said_id(element)
    for path in root.glob("[0-9]*/**/*.attr.json"):
        said = json.loads(path.read_text())
        if said["status"] == "active":
            retention = {**said["retention"], **changes.pop("retention", {})}
            path.write_text(json.dumps({**said, "retention": retention, **changes}))
    for catalog in root.glob(".artstore/catalog.db*"):
        catalog.unlink()
    await element.start()


async def finish(finalizing: Finalizing, target: RoleServer, file_id: str, finalization_id: str) -> None:
    """What admin does last, as if it had not heard the answer."""
    step = {"finalization_id": finalization_id, "step": "finish", "version": 3}
    url = f"{target.url}/api/v1/files/{file_id}/finalization"
    token = await finalizing.roles.token("admin")
    assert (await finalizing.roles.request("POST", url, json=step, token=token)).status == 200


async def mark_of(finalizing: Finalizing, file_id: str) -> dict[str, Any]:
    """With which a source is protected."""
    marked = await finalizing.sidecar(file_id, finalizing.elements[0])
    assert marked is not None
    mark: dict[str, Any] = marked["retention"]["finalization"]
    return mark


async def end_mark_in(finalizing: Finalizing, file_id: str, duration: timedelta) -> None:
    """The mark of the source is to end, and the source to expire, after ``duration``."""
    then = (datetime.now(UTC) + duration).isoformat(timespec="microseconds").replace("+00:00", "Z")
    mark = {**await mark_of(finalizing, file_id), "until": then}
    retention = {"expires_at": then, "finalization": mark}
    await rewrite_sidecar(finalizing, finalizing.elements[0], retention=retention)
