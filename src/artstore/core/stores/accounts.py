"""Service accounts: the applications that may ask for tokens, and hashes of their secrets."""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import Field

from artstore.core.revocation import Revocation, closed_client, tokens_valid_from, whole_client
from artstore.core.scopes import scopes_of
from artstore.core.spec import Database, NotFoundError, Parameter, Reader, Transaction
from artstore.core.stores.lookups import Lookups
from artstore.core.stores.revocations import add_revocation
from artstore.core.stores.rows import (
    OrderedWords,
    Record,
    StoredTime,
    Words,
    count,
    insert_sql,
    listed,
    text,
    to_microseconds,
)

HISTORY: Final = 5
"""How many hashes of former secrets are kept."""

AccountStatus = Literal["active", "suspended", "expired", "deleted"]


class ServiceAccount(Record):
    """One account. ``scopes`` are given beyond those of ``role``.

    While a secret is being rotated, the previous one is good until ``previous_secret_until``. A secret
    without ``secret_expires_at`` never expires. Tokens from before ``tokens_valid_from`` are revoked.
    ``secret_history`` has the hashes of former secrets, the last one first.
    ``jwks`` is the JWK set of its public keys, as JSON.
    Its tokens may be bound to its certificate.
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
    tokens_valid_from: StoredTime | None = None
    rate_limit: int | None = None
    secret_history: OrderedWords = Field(default=(), repr=False)
    jwks: str | None = None
    has_bound_tokens: bool = False

    @property
    def granted_scopes(self) -> frozenset[str]:
        """Everything it may do."""
        return scopes_of(self.role, self.scopes)

    def with_secret(
        self, secret_hash: str, *, at: datetime, expires_at: datetime | None, previous_until: datetime
    ) -> "ServiceAccount":
        """The account with a new secret; the one it has now stays good until ``previous_until``."""
        rotated = {
            "secret_hash": secret_hash,
            "secret_created_at": at,
            "secret_expires_at": expires_at,
            "previous_secret_hash": self.secret_hash,
            "previous_secret_until": previous_until,
            "secret_history": (self.secret_hash, *self.secret_history)[:HISTORY],
        }
        return self.model_copy(update=rotated)

    def status_at(self, now: datetime) -> AccountStatus:
        """``expired`` is not kept: time alone makes it."""
        expires_at = self.secret_expires_at
        is_expired = self.status == "active" and expires_at is not None and expires_at <= now
        return "expired" if is_expired else self.status


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


class AccountsStore:
    """The service accounts. A deleted one keeps its row, for the audit, and sets its name free.

    The time of a change is asked for in its transaction: however long that has waited for others, tokens
    that were issued meanwhile are older.
    """

    def __init__(
        self, database: Database, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._database = database
        self._now = now
        self._lookups = Lookups(self._find_or_stand_in)

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

    async def find_or_stand_in(self, client_id: str, *, stand_in: str) -> ServiceAccount | None:
        """The account that presents itself as ``client_id``; that of ``stand_in`` where there is none.

        Either costs the same, so that nobody can measure whether there is such a client. Those that are
        asked for while the database is at work are looked up together afterwards.
        """
        return await self._lookups.get((client_id, stand_in))

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
        search: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> AccountPage:
        """Accounts in the order of their names; deleted ones only when ``status`` asks for them.

        ``search`` is looked for in names, descriptions and client ids, upper or lower case.
        """
        where, parameters = _where(status, role)
        rows = await self._database.fetch_all(
            f"SELECT * FROM service_accounts WHERE {where} ORDER BY name, id", parameters
        )
        # There are thousands of accounts at most, and engines differ in which alphabets they fold.
        found = [account for row in rows if _matches(account := ServiceAccount.from_row(row), search)]
        return AccountPage(found[offset : offset + limit], len(found))

    async def expiring(self, until: datetime) -> Sequence[ServiceAccount]:
        """Active accounts whose secret is good no longer than ``until``, the first to expire first."""
        rows = await self._database.fetch_all(
            "SELECT * FROM service_accounts WHERE status = 'active' AND secret_expires_at <= :until"
            " ORDER BY secret_expires_at, id",
            {"until": to_microseconds(until)},
        )
        return [ServiceAccount.from_row(row) for row in rows]

    async def count(self) -> int:
        """How many accounts are not deleted."""
        return await count(self._database, "SELECT 1 FROM service_accounts WHERE status <> 'deleted'")

    async def change(
        self, account_id: str, change: Callable[[ServiceAccount], ServiceAccount]
    ) -> ServiceAccount:
        """Change an account; the account as it is now.

        ``change`` is given the account as it is, which nobody else changes meanwhile, and refuses by raising.
        An account that loses a right, or all of them, loses the tokens that have it in the same moment.

        Raises:
            NotFoundError: there is no such account, or it is deleted.
            AlreadyExistsError: the new name is taken.
        """
        async with self._database.transaction() as transaction:
            account = await _get(transaction, account_id)
            at = self._now()
            changed = change(account).model_copy(update={"updated_at": at})
            return await _replace(transaction, changed, _revocation(account, changed, at=at))

    async def revoke_tokens(self, account_id: str) -> ServiceAccount:
        """Revoke every token that the account has; it may ask for others.

        Raises:
            NotFoundError: there is no such account, or it is deleted.
        """
        async with self._database.transaction() as transaction:
            account = await _get(transaction, account_id)
            if account.status != "active":  # none that it has is good
                return account
            return await _replace(transaction, account, whole_client(account.client_id, at=self._now()))

    async def touch(self, account_id: str, *, at: datetime) -> None:
        """Note that the account was given a token. An unknown account is not an error."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "UPDATE service_accounts SET last_used_at = :at WHERE id = :id",
                {"id": account_id, "at": to_microseconds(at)},
            )

    async def _find_or_stand_in(
        self, asked: Collection[tuple[str, str]]
    ) -> Mapping[tuple[str, str], ServiceAccount]:
        clients, parameters = listed("client", sorted({client_id for pair in asked for client_id in pair}))
        rows = await self._database.fetch_all(
            f"SELECT * FROM service_accounts WHERE client_id IN ({clients}) AND status <> 'deleted'",
            parameters,
        )
        known = {text(row, "client_id"): row for row in rows}
        found = {pair: next((known[each] for each in pair if each in known), None) for pair in asked}
        return {pair: ServiceAccount.from_row(row) for pair, row in found.items() if row is not None}


def _where(status: AccountStatus | None, role: str | None) -> tuple[str, dict[str, Parameter]]:
    parameters: dict[str, Parameter] = {}
    where = "status <> 'deleted'"
    if status in ("active", "expired"):
        is_expired = "COALESCE(secret_expires_at <= :now, FALSE)"
        where = f"status = 'active' AND {'' if status == 'expired' else 'NOT '}{is_expired}"
        parameters["now"] = to_microseconds(datetime.now(UTC))
    elif status is not None:
        where = "status = :status"
        parameters["status"] = status
    if role is not None:
        where += " AND role = :role"
        parameters["role"] = role
    return where, parameters


def _matches(account: ServiceAccount, search: str | None) -> bool:
    wanted = (search or "").casefold()
    return any(wanted in text.casefold() for text in (account.name, account.description, account.client_id))


async def _get(reader: Reader, account_id: str) -> ServiceAccount:
    row = await reader.fetch_one(
        "SELECT * FROM service_accounts WHERE id = :id AND status <> 'deleted'", {"id": account_id}
    )
    if row is None:
        raise NotFoundError(f"there is no service account {account_id}")
    return ServiceAccount.from_row(row)


async def _replace(
    transaction: Transaction, account: ServiceAccount, revocation: Revocation | None = None
) -> ServiceAccount:
    if revocation is not None:
        await add_revocation(transaction, revocation)
        since = tokens_valid_from(revocation.revoked_at)
        account = account.model_copy(update={"tokens_valid_from": since})
    await transaction.execute(_UPDATE, account.to_row())
    return account


def _revocation(before: ServiceAccount, after: ServiceAccount, *, at: datetime) -> Revocation | None:
    """What must be refused from now on; nothing when the account may do no less than before."""
    if after.status != "active":
        return closed_client(after.client_id, at=at)
    if before.status != "active" or not before.granted_scopes <= after.granted_scopes:
        return whole_client(after.client_id, at=at)
    return None
