"""However large a download is, and however slow its client, the query role needs the same memory."""

import asyncio
from typing import Final

from aiohttp import ClientSession

from artstore.core.ids import new_file_id
from tests.services.ingester.harness import MIB, pieces
from tests.services.roles import Roles, child_role, described

LARGE: Final = 200 * MIB
ALLOWANCE: Final = 64 * MIB


async def test_a_large_download_does_not_grow_the_query_role(roles: Roles) -> None:
    element = await roles.start_element()
    admin = await roles.start("admin", admin={"elements": [element.url]})
    file_id = new_file_id()
    await roles.request(
        "PUT", f"{element.url}/api/v1/files/{file_id}/content", data=pieces(LARGE), headers=described()
    )
    async with child_role(roles, "query") as query, ClientSession() as session:
        headers = {"Authorization": f"Bearer {await roles.token()}"}
        await roles.wait_until_indexed(admin, file_id)
        url = f"{roles.settings().url('query')}/api/v1/files/{file_id}/download"
        await roles.request("GET", url, headers={"Range": "bytes=0-9"})
        before = query.memory()

        received = 0
        async with session.get(url, headers=headers) as response:
            await asyncio.sleep(0.5)  # all that does not wait for the client has come by now
            async for chunk in response.content.iter_any():
                received += len(chunk)

        assert (response.status, received) == (200, LARGE)
        assert query.memory(peak=True) - before < ALLOWANCE
