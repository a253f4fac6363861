"""`artstore put` among roles that forget its token, know its files to be damaged, or take none any more."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from tests.cluster import artstore
from tests.faults import fault_proxy
from tests.forked import UNMEASURED, run_forked
from tests.services.admin.harness import ACCOUNTS, eventually, sql_in
from tests.services.ingester.harness import Ingesting, start_ingesting
from tests.services.roles import Roles
from tests.services.test_modes import change

FILES: Final = 8
"""As many as put sends at once."""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A file that is put."""
    path = tmp_path / "document.txt"
    path.write_bytes(b"content")
    return path


async def put(admin_url: str, client_id: str, client_secret: str, *arguments: str | Path) -> dict[str, Any]:
    """What the command reports, with an account of the environment."""
    account = {
        "ARTSTORE_URL": admin_url,
        "ARTSTORE_CLIENT_ID": client_id,
        "ARTSTORE_CLIENT_SECRET": client_secret,
    }
    command = [artstore(), "put", "--json", *map(str, arguments)]
    completed = await asyncio.to_thread(run_forked, command, environment=UNMEASURED | account)
    report: dict[str, Any] = json.loads(completed.stdout)
    assert report["failed"] == [], completed.stderr
    return report


async def put_as_administrator(ingesting: Ingesting, *arguments: str | Path) -> dict[str, Any]:
    client_id, _, secret = (ingesting.roles.data / "secrets/client-administrator").read_text().partition(":")
    return await put(ingesting.admin.url, client_id, secret.strip(), *arguments)


async def start_archive(roles: Roles, mode: str) -> Ingesting:
    """All roles, with two elements, of which the first is filled first."""
    elements = [
        await roles.start_element(name, element={"mode": mode, "priority": number})
        for number, name in enumerate(("se-01", "se-02"))
    ]
    ingesting = await start_ingesting(roles, elements)
    await roles.start("query")
    return ingesting


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
        identity = (account["client_id"], account["client_secret"])
        older = await roles.issue_to(*identity)
        proxy.fall_silent()
        putting = asyncio.create_task(put(admin.url, *identity, "--recursive", folder))

        async def all_wait() -> bool:
            assert not putting.done()
            return proxy.accepted == FILES

        async def is_refused() -> bool:
            url = f"{direct}/api/v1/finalizations/{account['id']}"
            return (await roles.request("GET", url, token=older)).status == 401

        await eventually(all_wait)
        revoked = await roles.request("POST", f"{admin.url}{ACCOUNTS}/{account['id']}/revoke-tokens")
        assert revoked.status == 200, revoked
        await eventually(is_refused)
        proxy.heal()
        report = await putting

    assert len(report["stored"]) == FILES


async def test_a_damaged_file_that_cannot_be_repaired_is_stored_elsewhere(
    roles: Roles, document: Path
) -> None:
    ingesting = await start_archive(roles, "rw")
    element = ingesting.elements[0].url
    [stored] = (await put_as_administrator(ingesting, document))["stored"]
    [archived] = [path for path in ingesting.kept("se-01") if path.suffix == ".txt"]
    archived.chmod(0o600)
    archived.write_bytes(b"garbage")
    await roles.request("POST", f"{element}/api/v1/fixity", json={"file_ids": [stored["file_id"]]})

    async def is_quarantined() -> bool:
        found = await roles.request("GET", f"{element}/api/v1/files/{stored['file_id']}/fixity")
        return bool(found.json()["quarantined"])

    await eventually(is_quarantined)
    await change(ingesting, "se-01", "ro")
    again = await put_as_administrator(ingesting, document)
    finally_ = await put_as_administrator(ingesting, document)

    assert [each["element_id"] for each in again["stored"]] == ["se-02"]
    assert (finally_["stored"], finally_["repaired"], finally_["already_stored"]) == ([], [], 1)


async def test_a_file_that_nobody_can_ask_for_counts_as_stored_and_is_not_restored_from_an_archive(
    roles: Roles, document: Path
) -> None:
    ingesting = await start_archive(roles, "rw")
    element = ingesting.elements[0]
    await put_as_administrator(ingesting, document)
    await change(ingesting, "se-01", "ro")
    await change(ingesting, "se-01", "ar")

    archived = await put_as_administrator(ingesting, document)
    restores = await roles.request("GET", f"{element.url}/api/v1/restores")
    await element.stop()
    away = await put_as_administrator(ingesting, document)

    assert (archived["already_stored"], away["already_stored"]) == (1, 1)
    assert restores.json()["items"] == []


async def test_a_file_that_the_index_does_not_know_to_be_deleted_is_stored_again(
    roles: Roles, document: Path
) -> None:
    await sql_in(roles.data, "DELETE FROM leases WHERE name = 'indexer'")
    await sql_in(roles.data, "INSERT INTO leases VALUES ('indexer', 'a sleeper', 7, 1 << 62)")
    ingesting = await start_archive(roles, "edit")
    [stored] = (await put_as_administrator(ingesting, document, "--retention", "temporary:1"))["stored"]
    url = f"{ingesting.elements[0].url}/api/v1/files/{stored['file_id']}"
    assert (await roles.request("DELETE", url)).status == 200

    [again] = (await put_as_administrator(ingesting, document))["stored"]

    assert UUID(again["file_id"]) != UUID(stored["file_id"])
