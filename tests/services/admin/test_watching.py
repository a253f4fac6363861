"""What every process of admin looks at again and again: nothing that it finds there ends the looking."""

import pytest
from structlog.testing import capture_logs

from artstore.core.client.tokens import ClientCredentials
from artstore.core.config import SigningKeySettings
from artstore.services.admin import account_census, account_usage
from tests.services.admin.conftest import StartAdmin
from tests.services.admin.harness import eventually, sql, sql_at_once

SOON = 0.05


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is looked at at once."""
    monkeypatch.setattr(account_census, "INTERVAL", SOON)
    monkeypatch.setattr(account_usage, "WRITE_INTERVAL", SOON)
    monkeypatch.setattr(SigningKeySettings, "refresh_interval", SOON)


async def test_rows_that_are_none_and_writes_that_break_end_nothing(start: StartAdmin) -> None:
    with capture_logs() as logs:
        async with start() as admin:
            account = await admin.create_account()
            await sql(
                admin,
                "CREATE TRIGGER broken BEFORE INSERT ON account_usage BEGIN SELECT RAISE(ABORT, 'no'); END",
            )
            await admin.token(ClientCredentials(account["client_id"], account["client_secret"]))
            await sql_at_once(
                admin,
                "UPDATE service_accounts SET secret_expires_at = 1, created_at = 'never'"
                " WHERE name = 'billing'",
                "UPDATE signing_keys SET signs_from = 'never'",
            )

            async def all_fail() -> bool:
                failing = {log["job"] for log in logs if log["event"] == "job_failed"}
                return failing >= {"account-census", "account-usage", "signing-keys"}

            await eventually(all_fail)
            await sql_at_once(
                admin,
                "DROP TRIGGER broken",
                "UPDATE service_accounts SET created_at = 1 WHERE name = 'billing'",
                "UPDATE signing_keys SET signs_from = 1",
            )

            async def is_counted() -> bool:
                return await admin.metric("artstore_service_accounts_expiring") == 1

            async def is_written() -> bool:
                counted = await sql(admin, "SELECT account_id FROM account_usage WHERE tokens_issued = 1")
                return (account["id"],) in counted

            async def is_seen() -> bool:
                """That the key, as another process would have it, has been signing since 1970."""
                return (await admin.metric("artstore_signing_key_age_seconds") or 0) > 1e9

            await eventually(is_counted)
            await eventually(is_written)
            await eventually(is_seen)
