"""Service accounts: the applications that may use this cluster, and their secrets."""

import asyncio
import re
import secrets as randomness
import uuid
from collections.abc import Set
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, Self

from prometheus_client import Gauge
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from artstore.core.attribute_fields import Description
from artstore.core.scopes import ROLE_SCOPES, SCOPES, AccountRole, scopes_of
from artstore.core.secrets import SecretsChain
from artstore.core.spec import AlreadyExistsError, ArtStoreError, ForbiddenError
from artstore.core.stores.accounts import AccountsStore, AccountStatus, ServiceAccount
from artstore.services.admin.client_secrets import ClientSecrets
from artstore.services.admin.paging import Paging
from artstore.services.admin.system_accounts import credentials_text, secret_name
from artstore.services.admin.tokens import granted_scopes

AccountEnvironment = Literal["dev", "prod"]

MAX_LIFETIME: Final = 3650
"""Days a secret may be good for."""

MAX_GRACE: Final = 30 * 24 * 3600
"""Seconds a replaced secret may stay good for."""

COUNT_INTERVAL: Final = 2.0
"""Seconds between two counts of the accounts."""


def _check_name(name: str) -> str:
    if not name.isprintable():
        raise ValueError("contains a character that cannot be printed: remove it")
    return name


def _check_scope(scope: str) -> str:
    if scope not in SCOPES:
        raise ValueError(f"should be one of: {', '.join(sorted(SCOPES))}")
    return scope


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(_check_name),
]
Scope = Annotated[
    str, AfterValidator(_check_scope), WithJsonSchema({"type": "string", "enum": sorted(SCOPES)})
]
SecretLifetime = Annotated[
    int, Field(ge=0, le=MAX_LIFETIME, description="Days for which the secret is good; 0 for ever.")
]


class NewServiceAccount(BaseModel):
    """An account to make. It may do what its role may, and what its scopes say beyond that."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Name
    description: Description = ""
    role: AccountRole | None = None
    scopes: Annotated[list[Scope], Field(max_length=len(SCOPES))] = []
    environment: Annotated[
        AccountEnvironment | None, Field(description="Part of the client id; that of the cluster by default.")
    ] = None
    expires_in_days: SecretLifetime = 90

    @model_validator(mode="after")
    def _check_permissions(self) -> Self:
        if self.role is None and not self.scopes:
            raise ValueError("an account without role and scopes may do nothing: give it one of the two")
        return self


class SecretRotation(BaseModel):
    """How a secret is replaced."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    grace_seconds: Annotated[
        int, Field(ge=0, le=MAX_GRACE, description="For how long the present secret stays good, too.")
    ] = 0
    expires_in_days: Annotated[
        SecretLifetime | None, Field(description="By default as many as the present secret had.")
    ] = None


class AccountView(BaseModel):
    """An account without its secret."""

    id: uuid.UUID
    client_id: str
    name: str
    description: str
    role: str | None = None
    scopes: Annotated[list[str], Field(description="Everything it may do.")]
    status: AccountStatus
    is_system: Annotated[bool, Field(description="ArtStore itself uses it.")]
    created_at: datetime
    updated_at: datetime
    secret_expires_at: datetime | None = None
    last_used_at: Annotated[datetime | None, Field(description="To the minute.")] = None


class AccountWithSecret(AccountView):
    """An account and its new secret, which is shown this once."""

    client_secret: Annotated[
        str | None,
        Field(
            repr=False,
            description="Absent for system accounts: theirs is kept where ArtStore looks for it.",
        ),
    ] = None


class AccountPage(BaseModel):
    """A slice of the accounts, by name."""

    items: list[AccountView]
    total: int
    limit: int
    offset: int
    has_more: bool


class ServiceAccounts:
    """Manages service accounts on behalf of somebody who has ``held_scopes``."""

    def __init__(
        self,
        store: AccountsStore,
        *,
        client_secrets: ClientSecrets,
        chain: SecretsChain,
        environment: AccountEnvironment,
        gauge: Gauge,
    ) -> None:
        self._store = store
        self._gauge = gauge
        self._client_secrets = client_secrets
        self._chain = chain
        self._environment: AccountEnvironment = environment

    async def create(self, new: NewServiceAccount, *, held_scopes: Set[str]) -> AccountWithSecret:
        """Make an account.

        Raises:
            ForbiddenError: it would be allowed more than its creator.
            AlreadyExistsError: the name is taken.
        """
        _require_held(scopes_of(new.role, frozenset(new.scopes)), held_scopes)
        secret = self._client_secrets.new()
        now = datetime.now(UTC)
        account = ServiceAccount(
            id=str(uuid.uuid4()),
            client_id=new_client_id(new.name, new.environment or self._environment),
            name=new.name,
            description=new.description,
            role=new.role,
            scopes=frozenset(new.scopes),
            secret_hash=self._client_secrets.digest(secret),
            secret_created_at=now,
            secret_expires_at=_expiry(now, days=new.expires_in_days),
            created_at=now,
            updated_at=now,
        )
        try:
            await self._store.create(account)
        except AlreadyExistsError:
            raise AlreadyExistsError(f"there is a service account {new.name} already") from None
        return _with_secret(account, secret)

    async def list(self, paging: Paging) -> AccountPage:
        """Accounts that are not deleted, by name."""
        page = await self._store.list(limit=paging.limit, offset=paging.offset)
        return AccountPage(
            items=[_view(account) for account in page.items],
            total=page.total,
            limit=paging.limit,
            offset=paging.offset,
            has_more=paging.offset + len(page.items) < page.total,
        )

    async def get(self, account_id: uuid.UUID) -> AccountView:
        """One account.

        Raises:
            NotFoundError: there is none, or it is deleted.
        """
        return _view(await self._store.get(str(account_id)))

    async def delete(self, account_id: uuid.UUID, *, held_scopes: Set[str]) -> None:
        """Delete an account: it gets no more tokens; those it has end with their lifetime.

        Raises:
            NotFoundError: there is none, or it is deleted.
            ForbiddenError: ArtStore itself needs it, or it may do more than whoever asks.
        """
        account = await self._store.get(str(account_id))
        if account.is_system:
            raise ForbiddenError(f"service account {account.name} is one of ArtStore's own: it stays")
        _require_held(granted_scopes(account), held_scopes)
        await self._store.delete(account.id, at=datetime.now(UTC))

    async def rotate_secret(
        self, account_id: uuid.UUID, rotation: SecretRotation, *, held_scopes: Set[str]
    ) -> AccountWithSecret:
        """Give an account a new secret.

        Raises:
            NotFoundError: there is none, or it is deleted.
            ForbiddenError: it may do more than whoever asks.
            UnsupportedError: it is a system account, and its secret is kept where it cannot be written.
        """
        account = await self._store.get(str(account_id))
        _require_held(_grantable(account), held_scopes)
        secret = self._client_secrets.new()
        if account.is_system:
            # The kept one changes first: it is what holds if this is interrupted (see bootstrap).
            await self._chain.replace(secret_name(account.name), credentials_text(account.client_id, secret))
            return _with_secret(await self._replace_secret(account, secret, rotation), None)
        return _with_secret(await self._replace_secret(account, secret, rotation), secret)

    async def count(self) -> None:
        """Keep the number of accounts in the metrics until cancelled; other processes change it, too."""
        while True:
            with suppress(ArtStoreError):  # the readiness tells when the database is away
                self._gauge.set((await self._store.list(limit=1)).total)
            await asyncio.sleep(COUNT_INTERVAL)

    async def _replace_secret(
        self, account: ServiceAccount, secret: str, rotation: SecretRotation
    ) -> ServiceAccount:
        now = datetime.now(UTC)
        previous_until = now + timedelta(seconds=rotation.grace_seconds)
        return await self._store.rotate_secret(
            account.id,
            secret_hash=self._client_secrets.digest(secret),
            at=now,
            expires_at=_next_expiry(account, rotation, now),
            # A secret that has expired does not come to life again by being replaced.
            previous_until=min(previous_until, account.secret_expires_at or previous_until),
        )


def new_client_id(name: str, environment: AccountEnvironment) -> str:
    """``sa_<environment>_<name>_<8 hex>``, the name in characters that are safe everywhere."""
    safe = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "account"
    return f"sa_{environment}_{safe}_{randomness.token_hex(4)}"


def _require_held(scopes: Set[str], held: Set[str]) -> None:
    """Nobody makes, changes or ends an account that may do more than they may."""
    if excess := sorted(scopes - held):
        raise ForbiddenError(f"this needs scopes that the access token does not have: {' '.join(excess)}")


def _grantable(account: ServiceAccount) -> frozenset[str]:
    """What somebody could have of the account's scopes; the rest is for ArtStore's own roles alone."""
    scopes = granted_scopes(account)
    return scopes & ROLE_SCOPES["ADMIN"] if account.is_system else scopes


def _expiry(now: datetime, *, days: int) -> datetime | None:
    return now + timedelta(days=days) if days else None


def _next_expiry(account: ServiceAccount, rotation: SecretRotation, now: datetime) -> datetime | None:
    """The secrets of system accounts do not expire: nobody would be there to replace them."""
    if account.is_system:
        return None
    if rotation.expires_in_days is not None:
        return _expiry(now, days=rotation.expires_in_days)
    if account.secret_expires_at is None:
        return None
    return now + (account.secret_expires_at - account.secret_created_at)


def _view(account: ServiceAccount) -> AccountView:
    return AccountView.model_validate(_shown(account))


def _with_secret(account: ServiceAccount, secret: str | None) -> AccountWithSecret:
    return AccountWithSecret.model_validate({**_shown(account), "client_secret": secret})


def _shown(account: ServiceAccount) -> dict[str, object]:
    return {
        **account.model_dump(exclude={"scopes", "status"}),
        "scopes": sorted(granted_scopes(account)),
        "status": _status(account),
    }


def _status(account: ServiceAccount) -> AccountStatus:
    expires_at = account.secret_expires_at
    if account.status == "active" and expires_at is not None and expires_at <= datetime.now(UTC):
        return "expired"
    return account.status
