"""However large a file is, making it permanent needs the same memory."""

from typing import Final

from tests.services.finalization.harness import Finalizing, start_elements
from tests.services.ingester.harness import MIB, pieces
from tests.services.roles import Roles, RoleServer, child_role

LARGE: Final = 128 * MIB
ALLOWANCE: Final = 64 * MIB


async def test_a_large_file_does_not_grow_admin(roles: Roles) -> None:
    elements = await start_elements(roles, "edit", "rw")
    async with child_role(roles, "admin") as admin:
        server = RoleServer("admin", roles.settings())  # never started: it runs as a process of its own
        for element in elements:
            url = f"{server.url}/api/v1/storage-elements"
            await roles.request("POST", url, json={"url": element.url})
        ingester = await roles.start("ingester")
        finalizing = Finalizing(roles, admin=server, ingester=ingester, elements=elements)
        await finalizing.wait_for_elements(2)
        small = await finalizing.started(await finalizing.temporary())
        await finalizing.reaches(small["finalization_id"], "source_removal_scheduled")
        stored = await finalizing.post(pieces(LARGE), retention_policy="temporary")
        before = admin.memory()

        said = await finalizing.started(stored.json()["file_id"])
        said = await finalizing.reaches(said["finalization_id"], "source_removal_scheduled")

        assert said["bytes_copied"] == LARGE
        assert admin.memory(peak=True) - before < ALLOWANCE
