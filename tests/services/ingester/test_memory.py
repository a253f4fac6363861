"""However large an upload is, the ingester needs the same memory."""

from typing import Final

from tests.services.ingester.harness import MIB, pieces
from tests.services.roles import Roles, child_role, described

LARGE: Final = 200 * MIB
ALLOWANCE: Final = 64 * MIB


async def test_a_large_upload_does_not_grow_the_ingester(roles: Roles) -> None:
    element = await roles.start_element()
    await roles.start("admin", admin={"elements": [element.url]})
    async with child_role(roles, "ingester") as ingester:
        url = f"{roles.settings().url('ingester')}/api/v1/files"
        await roles.request("POST", url, data=b"small", headers=described())
        before = ingester.memory()

        answer = await roles.request("POST", url, data=pieces(LARGE), headers=described())

        assert (answer.status, answer.json()["file_size"]) == (201, LARGE)
        assert ingester.memory(peak=True) - before < ALLOWANCE
