"""Service accounts: the applications that may ask for tokens, and hashes of their secrets."""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypedDict, Unpack

from pydantic import Field

from artstore.core.spec import Database, NotFoundError, Parameter, Reader, Transaction
from artstore.core.stores.rows import Record, StoredTime, Words, count, insert_sql, to_microseconds

AccountStatus = Literal["active", "suspended", "expired", "deleted"]


class ServiceAccount(Record):
    """One account. ``scopes`` are given beyond those of ``role``.

    While a secret is being rotated, the previous one is good until ``previous_secret_until``. A secret
    without ``secret_expires_at`` never expires.
    """

    id: str
    client_id: str
    name: str
    description: str = ""
    role: str | None = None
    scopes: Words = frozenset()
    status: AccountStatus = "active"
    is_system: bool = False
    secret_hash: str = Field(repr=False)
    secret_created_at: StoredTime
    secret_expires_at: StoredTime | None = None
    previous_secret_hash: str | None = Field(default=None, repr=False)
    previous_secret_until: StoredTime | None = None
    created_at: StoredTime
    updated_at: StoredTime
    last_used_at: StoredTime | None = None


@dataclass(frozen=True, slots=True)
class AccountPage:
    """A slice of the accounts, and how many there are in all."""

    items: Sequence[ServiceAccount]
    total: int


_UPDATE: Final = (
    "UPDATE service_accounts SET "
    + ", ".join(f"{column} = :{column}" for column in ServiceAccount.model_fields if column != "id")
    + " WHERE id = :id"
)


class AccountChange(TypedDict, total=False):
    """What may be changed of an account; what is absent stays."""

    name: str
    description: str
    role: str | None
    scopes: frozenset[str]
    status: AccountStatus


class AccountsStore:
    """The service accounts. A deleted one keeps its row, for the audit, and sets its name free."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, account: ServiceAccount) -> None:
        """Add an account.

        Raises:
            AlreadyExistsError: the client id is taken, or the name by an account that is not deleted.
        """
        async with self._database.transaction() as transaction:
            await transaction.execute(insert_sql("service_accounts", ServiceAccount), account.to_row())

    async def get(self, account_id: str) -> ServiceAccount:
        """One account.

        Raises:
            NotFoundError: there is no such account, or it is deleted.
        """
        return await _get(self._database, account_id)

    async def find_by_client_id(self, client_id: str) -> ServiceAccount | None:
        """The account that presents itself as ``client_id``, unless it is deleted."""
        row = await self._database.fetch_one(
            "SELECT * FROM service_accounts WHERE client_id = :client_id AND status <> 'deleted'",
            {"client_id": client_id},
        )
        return None if row is None else ServiceAccount.from_row(row)

    async def find_by_name(self, name: str) -> ServiceAccount | None:
        """The account of this name, unless it is deleted."""
        row = await self._database.fetch_one(
            "SELECT * FROM service_accounts WHERE name = :name AND status <> 'deleted'", {"name": name}
        )
        return None if row is None else ServiceAccount.from_row(row)

    async def list(
        self,
        *,
        status: AccountStatus | None = None,
        role: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> AccountPage:
        """Accounts in the order of their names; deleted ones only when ``status`` asks for them."""
        where, parameters = _where(status, role)
        rows = await self._database.fetch_all(
            f"SELECT * FROM service_accounts WHERE {where} ORDER BY name, id LIMIT :limit OFFSET :offset",
            {**parameters, "limit": limit, "offset": offset},
        )
        total = await count(self._database, f"SELECT 1 FROM service_accounts WHERE {where}", parameters)
        return AccountPage([ServiceAccount.from_row(row) for row in rows], total)

    async def update(
        self, account_id: str, *, at: datetime, **change: Unpack[AccountChange]
    ) -> ServiceAccount:
        """Change an account; the account as it is now.

        Raises:
            NotFoundError: there is no such account, or it is deleted.
            AlreadyExistsError: the new name is taken.
        """
        async with self._database.transaction() as transaction:
            account = await _get(transaction, account_id)
            return await _replace(transaction, account.model_copy(update={**change, "updated_at": at}))

    async def delete(self, account_id: str, *, at: datetime) -> None:
        """Delete an account for good.

        Raises:
            NotFoundError: there is no such account, or it is deleted already.
        """
        await self.update(account_id, at=at, status="deleted")

    async def rotate_secret(
        self,
        account_id: str,
        *,
        secret_hash: str,
        at: datetime,
        expires_at: datetime | None,
        previous_until: datetime,
    ) -> ServiceAccount:
        """Give an account a new secret; the one it has now stays good until ``previous_until``.

        Raises:
            NotFoundError: there is no such account, or it is deleted.
        """
        async with self._database.transaction() as transaction:
            account = await _get(transaction, account_id)
            rotated = {
                "secret_hash": secret_hash,
                "secret_created_at": at,
                "secret_expires_at": expires_at,
                "previous_secret_hash": account.secret_hash,
                "previous_secret_until": previous_until,
                "updated_at": at,
            }
            return await _replace(transaction, account.model_copy(update=rotated))

    async def touch(self, account_id: str, *, at: datetime) -> None:
        """Note that the account was given a token. An unknown account is not an error."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "UPDATE service_accounts SET last_used_at = :at WHERE id = :id",
                {"id": account_id, "at": to_microseconds(at)},
            )


def _where(status: AccountStatus | None, role: str | None) -> tuple[str, dict[str, Parameter]]:
    where = "status <> 'deleted'" if status is None else "status = :status"
    if role is not None:
        where += " AND role = :role"
    chosen: dict[str, Parameter] = {"status": status, "role": role}
    return where, {name: value for name, value in chosen.items() if value is not None}


async def _get(reader: Reader, account_id: str) -> ServiceAccount:
    row = await reader.fetch_one(
        "SELECT * FROM service_accounts WHERE id = :id AND status <> 'deleted'", {"id": account_id}
    )
    if row is None:
        raise NotFoundError(f"there is no service account {account_id}")
    return ServiceAccount.from_row(row)


async def _replace(transaction: Transaction, account: ServiceAccount) -> ServiceAccount:
    await transaction.execute(_UPDATE, account.to_row())
    return account
