"""A change of admin's database has its record, though the process that made it had no time to write one."""

from typing import Any

import pytest
from aiohttp import ClientError

from tests.services.admin.conftest import StartAdmin
from tests.services.admin.dying import dying_admin
from tests.services.admin.harness import ACCOUNTS, AdminClient, Port, admin_settings, eventually, sql
from tests.services.admin.test_audit import records

MADE = "create_service_account"


async def test_a_change_whose_admin_is_killed_before_its_record_is_recorded_by_another(
    start: StartAdmin, port: Port
) -> None:
    async with start(audit={"overdue_after": 0.1}) as admin:
        token = await admin.administrator_token()
        other = admin_settings(admin.data, Port.free(), issuer=port.url)
        async with dying_admin("tests.services.admin.dying_recorder", other) as process:
            url = f"http://127.0.0.1:{other.port('admin')}"
            with pytest.raises(ClientError):
                await admin.send_to(
                    url, "POST", ACCOUNTS, token=token, json={"name": "x", "role": "READONLY"}
                )
            await process.wait()
        assert await sql(admin, "SELECT 1 FROM service_accounts WHERE name = 'x'")

        async def is_recorded() -> list[dict[str, Any]]:
            return await records(admin, event=MADE)

        (record,) = await eventually(is_recorded)
        assert (record["outcome"], record["resource"]) == ("succeeded", ACCOUNTS)
        assert record["actor"]["client_id"] == admin.credentials().client_id
        assert record["reason"] == "recorded by recovery: the change is complete"
        assert (await admin.get("/api/v1/audit-log/verify"))["is_sound"]


async def test_nothing_is_due_of_what_is_recorded(admin: AdminClient) -> None:
    await admin.create_account()

    (record,) = await records(admin, event=MADE)
    assert record["change"]
    assert await sql(admin, "SELECT * FROM audit_due") == []


async def test_what_changes_nothing_leaves_nothing_due(admin: AdminClient) -> None:
    answer = await admin.request("POST", ACCOUNTS, json={"name": "billing", "role": "NOBODY"})

    assert answer.status == 400
    (record,) = await records(admin, event=MADE)
    assert "change" not in record
