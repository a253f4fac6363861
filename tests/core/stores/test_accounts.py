"""Service accounts, kept and changed."""

from datetime import timedelta
from typing import Any

import pytest

from artstore.core.spec import AlreadyExistsError, Database, NotFoundError
from artstore.core.stores.accounts import AccountsStore, ServiceAccount
from tests.core.stores.entries import START

LATER = START + timedelta(days=1)


@pytest.fixture
def accounts(database: Database) -> AccountsStore:
    return AccountsStore(database, now=lambda: LATER)


def account(name: str, **changes: Any) -> ServiceAccount:
    fields: dict[str, Any] = {
        "id": f"id-{name}",
        "client_id": f"sa_test_{name}",
        "name": name,
        "role": "USER",
        "secret_hash": "first-hash",
        "secret_created_at": START,
        "created_at": START,
        "updated_at": START,
    }
    return ServiceAccount.model_validate({**fields, **changes})


async def change(accounts: AccountsStore, account_id: str, **changes: object) -> ServiceAccount:
    return await accounts.change(account_id, lambda found: found.model_copy(update=changes))


async def test_an_account_comes_back_as_it_was_created(accounts: AccountsStore) -> None:
    created = account(
        "billing",
        description="Счета",
        scopes=frozenset({"files:read", "audit:read"}),
        is_system=True,
        secret_expires_at=LATER,
    )

    await accounts.create(created)

    assert await accounts.get("id-billing") == created
    assert await accounts.find_by_client_id("sa_test_billing") == created
    assert await accounts.find_by_name("billing") == created


async def test_an_unknown_account_is_not_found(accounts: AccountsStore) -> None:
    assert await accounts.find_by_client_id("sa_test_nobody") is None
    assert await accounts.find_by_name("nobody") is None
    with pytest.raises(NotFoundError):
        await accounts.get("nobody")
    with pytest.raises(NotFoundError):
        await change(accounts, "nobody", name="somebody")


@pytest.mark.parametrize("taken", [{"name": "billing"}, {"client_id": "sa_test_billing"}])
async def test_names_and_client_ids_are_taken_once(accounts: AccountsStore, taken: dict[str, str]) -> None:
    await accounts.create(account("billing"))

    with pytest.raises(AlreadyExistsError):
        await accounts.create(account("other").model_copy(update=taken))


async def test_a_name_that_is_taken_is_not_changed_to(accounts: AccountsStore) -> None:
    await accounts.create(account("billing"))
    await accounts.create(account("crm"))

    with pytest.raises(AlreadyExistsError):
        await change(accounts, "id-crm", name="billing")

    assert (await accounts.get("id-crm")).name == "crm"


async def test_a_change_leaves_everything_else_as_it_was(accounts: AccountsStore) -> None:
    await accounts.create(account("billing", description="Счета"))

    changed = await change(accounts, "id-billing", status="suspended", scopes=frozenset({"audit:read"}))

    assert changed == await accounts.get("id-billing")
    assert changed == account(
        "billing",
        description="Счета",
        status="suspended",
        scopes=frozenset({"audit:read"}),
        updated_at=LATER,
        tokens_valid_from=LATER + timedelta(seconds=1),
    )


async def test_a_deleted_account_is_gone_and_its_name_is_free(accounts: AccountsStore) -> None:
    await accounts.create(account("billing"))

    await change(accounts, "id-billing", status="deleted")
    await accounts.create(account("billing", id="id-new", client_id="sa_test_new"))

    assert await accounts.find_by_client_id("sa_test_billing") is None
    assert [found.id for found in (await accounts.list()).items] == ["id-new"]
    assert [found.id for found in (await accounts.list(status="deleted")).items] == ["id-billing"]
    with pytest.raises(NotFoundError):
        await change(accounts, "id-billing", status="deleted")


async def test_the_previous_secret_stays_good_for_a_while(accounts: AccountsStore) -> None:
    await accounts.create(account("billing", secret_expires_at=LATER))

    rotated = await accounts.change(
        "id-billing",
        lambda found: found.with_secret("second-hash", at=LATER, expires_at=None, previous_until=LATER),
    )

    assert rotated == await accounts.get("id-billing")
    assert rotated.secret_hash == "second-hash"
    assert rotated.secret_created_at == LATER
    assert rotated.secret_expires_at is None
    assert (rotated.previous_secret_hash, rotated.previous_secret_until) == ("first-hash", LATER)


async def test_the_last_use_is_noted_without_changing_the_account(accounts: AccountsStore) -> None:
    await accounts.create(account("billing"))

    await accounts.touch("id-billing", at=LATER)

    assert await accounts.get("id-billing") == account("billing", last_used_at=LATER)


async def test_accounts_are_listed_by_name_in_pages_and_by_what_they_are(accounts: AccountsStore) -> None:
    for name, role in (("c", "USER"), ("a", "ADMIN"), ("d", "USER"), ("b", None)):
        await accounts.create(account(name, role=role))
    await change(accounts, "id-d", status="suspended")

    page = await accounts.list(limit=2, offset=1)
    users = await accounts.list(role="USER")
    suspended = await accounts.list(status="suspended", role="USER")

    assert ([found.name for found in page.items], page.total) == (["b", "c"], 4)
    assert ([found.name for found in users.items], users.total) == (["c", "d"], 2)
    assert ([found.name for found in suspended.items], suspended.total) == (["d"], 1)


def test_no_secret_is_printed() -> None:
    printed = repr(account("billing", previous_secret_hash="first-hash"))

    assert "first-hash" not in printed
