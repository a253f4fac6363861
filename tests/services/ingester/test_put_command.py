"""`artstore put` through an ingester that no longer believes in the token with which it began."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.cluster import artstore
from tests.faults import fault_proxy
from tests.forked import UNMEASURED
from tests.services.admin.harness import ACCOUNTS, eventually
from tests.services.roles import Roles

FILES = 8
"""As many as put sends at once."""


async def test_a_token_that_is_refused_while_files_wait_costs_none_of_them(
    roles: Roles, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number}.txt").write_bytes(b"content" * 40_000 * number)
    element = await roles.start_element()
    direct = roles.settings().url("ingester")
    async with fault_proxy(direct) as proxy:
        where = {"url": proxy.url}
        admin = await roles.start("admin", admin={"elements": [element.url]}, ingester=where)
        await roles.wait_until_registered(admin, 1)
        await roles.start("query")
        await roles.start("ingester", ingester=where)
        made = await roles.request("POST", admin.url + ACCOUNTS, json={"name": "scanner", "role": "USER"})
        account = made.json()
        older = await roles.issue_to(account["client_id"], account["client_secret"])
        proxy.fall_silent()
        putting = await asyncio.create_subprocess_exec(
            *(artstore(), "put", "--json", "--recursive", str(folder)),
            env=os.environ
            | UNMEASURED
            | {
                "ARTSTORE_URL": admin.url,
                "ARTSTORE_CLIENT_ID": account["client_id"],
                "ARTSTORE_CLIENT_SECRET": account["client_secret"],
            },
            stdout=PIPE,
        )

        async def all_wait() -> bool:
            assert putting.returncode is None
            return proxy.accepted == FILES

        async def is_refused() -> bool:
            url = f"{direct}/api/v1/finalizations/{account['id']}"
            return (await roles.request("GET", url, token=older)).status == 401

        await eventually(all_wait)
        revoked = await roles.request("POST", f"{admin.url}{ACCOUNTS}/{account['id']}/revoke-tokens")
        assert revoked.status == 200, revoked
        await eventually(is_refused)
        proxy.heal()
        told, _ = await putting.communicate()

    report = json.loads(told)
    assert (len(report["stored"]), report["failed"]) == (FILES, [])
