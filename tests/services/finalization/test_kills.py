"""Admin is killed each time that a finalization gets further: it is completed, whatever is lost."""

import asyncio
from collections.abc import Iterable
from typing import Final

import pytest

from artstore.core.config import Settings
from tests.services.admin.dying import dying_admin
from tests.services.admin.harness import eventually, lose_database, sql_in
from tests.services.finalization.harness import AT_ONCE, Finalizing, said_id, start_elements
from tests.services.roles import Roles, RoleServer

POINTS: Final = range(1, 15)
"""Before and after: one is noted, marked, copied, read back, switched, scheduled, completed."""

SAMPLE: Final = (2, 9)
DYING: Final = "tests.services.finalization.dying_admin"
CONTENT: Final = b"content" * 40_000


class Killing:
    """A cluster whose admin is killed; everything else runs on."""

    def __init__(self, finalizing: Finalizing, settings: Settings) -> None:
        self.finalizing = finalizing
        self.settings = settings

    async def kill_at(self, point: int) -> str:
        """Finalize a file until admin is killed; the id of the file."""
        async with dying_admin(DYING, self.settings, die_at=point) as process:
            await self._wait_until_read()
            file_id = await self.finalizing.temporary(CONTENT + bytes([point]))
            answer = await self.finalizing.finalize(file_id, key=f"k-{point}")
            assert answer.status in (202, 502, 503), answer
            async with asyncio.timeout(30):
                await process.wait()
        return file_id

    async def forget_leases(self) -> None:
        """Wait no longer for a process that was killed."""
        await sql_in(self.settings.base_directory, "UPDATE leases SET expires_at = 0")

    async def complete(self, file_id: str, point: int) -> None:
        """Ask again, as a client does that got no answer, and see it end."""
        await self.forget_leases()
        async with dying_admin(DYING, self.settings):
            said = await self.finalizing.started(file_id, key=f"k-{point}")
            await self.finalizing.reaches(said["finalization_id"], "completed")
            source, target = self.finalizing.elements
            after = await self.finalizing.assert_permanent(file_id, CONTENT + bytes([point]), target)
            assert after["version"] == 3
            assert await self.finalizing.sidecar(file_id, source) is None

    async def survive_amnesia(self, file_id: str, point: int) -> None:
        """Delete every database of admin: the file is there, and can be made permanent."""
        finalizing, content = self.finalizing, CONTENT + bytes([point])
        await asyncio.to_thread(lose_database, self.settings.base_directory)
        finalizing.roles.forget_tokens()
        async with dying_admin(DYING, self.settings):
            await self._wait_until_read()
            for element in finalizing.elements:
                if await finalizing.sidecar(file_id, element) is not None:
                    assert await finalizing.content(file_id, element) == content
            await eventually(lambda: self._is_accepted(file_id))
            said = await finalizing.started(file_id)
            if "finalization_id" in said:
                await finalizing.reaches(said["finalization_id"], "completed")
            await finalizing.assert_permanent(file_id, content, finalizing.elements[1])

    async def _wait_until_read(self) -> None:
        """Until the index says all that the journals of the elements say."""

        async def is_read() -> bool:
            ends = {(said_id(element), await self._end_of(element)) for element in self.finalizing.elements}
            read = await sql_in(
                self.settings.base_directory, "SELECT element_id, sequence FROM index_positions"
            )
            return ends <= set(read)

        await eventually(is_read)

    async def _is_accepted(self, file_id: str) -> bool:
        """The ingester learns the keys of a new admin, too."""
        return (await self.finalizing.finalize(file_id)).status in (200, 202)

    async def _end_of(self, element: RoleServer) -> int | None:
        """The end of its journal; ``None`` while it does not know the keys of a new admin."""
        answer = await self.finalizing.roles.request("GET", f"{element.url}/api/v1/info")
        return answer.json()["last_sequence"] if answer.status == 200 else None


@pytest.fixture
async def killing(roles: Roles) -> Killing:
    """No admin runs."""
    elements: list[RoleServer] = await start_elements(roles, "edit", "rw")
    settings = roles.settings(admin={"elements": [element.url for element in elements], **AT_ONCE})
    ingester = await roles.start("ingester")
    admin = RoleServer("admin", settings)  # never started: it runs as a process of its own
    return Killing(Finalizing(roles, admin=admin, ingester=ingester, elements=elements), settings)


async def killed_and_completed(killing: Killing, points: Iterable[int]) -> None:
    for point in points:
        file_id = await killing.kill_at(point)
        await killing.complete(file_id, point)
        await killing.forget_leases()


async def killed_and_forgotten(killing: Killing, points: Iterable[int]) -> None:
    for point in points:
        file_id = await killing.kill_at(point)
        await killing.survive_amnesia(file_id, point)
        await killing.forget_leases()


async def test_killed_at_some_points_a_finalization_is_completed(killing: Killing) -> None:
    await killed_and_completed(killing, SAMPLE)


async def test_between_two_steps_losing_every_database_loses_no_file(killing: Killing) -> None:
    await killed_and_forgotten(killing, [7])


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_killed_at_every_point_a_finalization_is_completed(killing: Killing) -> None:
    await killed_and_completed(killing, POINTS)


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_at_every_point_losing_every_database_loses_no_file(killing: Killing) -> None:
    await killed_and_forgotten(killing, POINTS)
