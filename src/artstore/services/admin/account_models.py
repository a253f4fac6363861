"""Service accounts as requests and answers describe them."""

import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Final, Literal, Self

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
from artstore.core.scopes import SCOPES, AccountRole
from artstore.core.stores.accounts import AccountStatus, ServiceAccount
from artstore.core.validation import check_printable
from artstore.services.admin.client_keys import ClientKeySet
from artstore.services.admin.paging import Paging

AccountEnvironment = Literal["dev", "prod"]

MAX_LIFETIME: Final = 3650
"""Days a secret may be good for."""

MAX_RATE: Final = 1_000_000
"""Requests per minute."""

MAX_GRACE: Final = 30 * 24 * 3600
"""Seconds a replaced secret may stay good for."""


def _check_scope(scope: str) -> str:
    if scope not in SCOPES:
        raise ValueError(f"should be one of: {', '.join(sorted(SCOPES))}")
    return scope


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(check_printable),
]
Scope = Annotated[
    str, AfterValidator(_check_scope), WithJsonSchema({"type": "string", "enum": sorted(SCOPES)})
]
SecretLifetime = Annotated[
    int, Field(ge=0, le=MAX_LIFETIME, description="Days for which the secret is good; 0 for ever.")
]
RateLimit = Annotated[
    int, Field(ge=1, le=MAX_RATE, description="Requests per minute; absent: the default of the cluster.")
]


class AccountDescription(BaseModel):
    """What somebody decides about an account. It may do what its role may, and what its scopes say beyond."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Name
    description: Description = ""
    role: AccountRole | None = None
    scopes: Annotated[list[Scope], Field(max_length=len(SCOPES))] = []
    rate_limit: RateLimit | None = None
    jwks: Annotated[
        ClientKeySet | None,
        Field(description="Public keys with which it proves itself in place of its secret (RFC 7523)."),
    ] = None
    has_bound_tokens: Annotated[
        bool, Field(description="Its tokens are worth nothing without its client certificate (RFC 8705).")
    ] = False

    @model_validator(mode="after")
    def _check_permissions(self) -> Self:
        if self.role is None and not self.scopes:
            raise ValueError("an account without role and scopes may do nothing: give it one of the two")
        return self


class NewServiceAccount(AccountDescription):
    """An account to make."""

    environment: Annotated[
        AccountEnvironment | None, Field(description="Part of the client id; that of the cluster by default.")
    ] = None
    expires_in_days: SecretLifetime = 90


class AccountPatch(BaseModel):
    """What is to be different; what is absent stays as it is."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Name | None = None
    description: Description | None = None
    role: Annotated[AccountRole | None, Field(description="`null` takes the role away.")] = None
    scopes: Annotated[list[Scope] | None, Field(max_length=len(SCOPES))] = None
    rate_limit: Annotated[RateLimit | None, Field(description="`null`: the default of the cluster.")] = None
    jwks: Annotated[ClientKeySet | None, Field(description="`null` takes its keys away.")] = None
    has_bound_tokens: bool = False


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
    rate_limit: RateLimit | None = None
    jwks: ClientKeySet | None = None
    has_bound_tokens: bool
    status: AccountStatus
    is_system: Annotated[bool, Field(description="ArtStore itself uses it.")]
    created_at: datetime
    updated_at: datetime
    secret_created_at: datetime
    secret_expires_at: datetime | None = None
    days_until_expiry: Annotated[
        int | None, Field(description="Whole days for which its secret is still good; absent: for ever.")
    ] = None
    previous_secret_until: Annotated[
        datetime | None, Field(description="For how long the secret before this one is good, too.")
    ] = None
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


class AccountFilter(Paging):
    """Which accounts."""

    role: AccountRole | None = None
    status: Annotated[
        AccountStatus | None, Field(description="By default all but `deleted`; `expired`: its secret is.")
    ] = None
    search: Annotated[
        str | None, Field(max_length=100, description="Part of a name, a description or a client id.")
    ] = None


class ExpiryWindow(Paging):
    """How far to look ahead."""

    within_days: Annotated[int, Field(ge=0, le=MAX_LIFETIME)] = 14


class DayOfUse(BaseModel):
    """What one day (UTC) has seen of an account."""

    day: date
    tokens_issued: int
    requests_refused: Annotated[int, Field(description="With a wrong or expired secret, or while suspended.")]


class AccountUsage(BaseModel):
    """What an account asked for lately. A process that is killed forgets its last seconds."""

    account_id: uuid.UUID
    last_used_at: datetime | None = None
    tokens_issued: int
    requests_refused: int
    days: Annotated[list[DayOfUse], Field(description="The newest first; days without use are left out.")]


def view(account: ServiceAccount) -> AccountView:
    """``account`` as it is shown."""
    return AccountView.model_validate(_shown(account))


def view_with_secret(account: ServiceAccount, secret: str | None) -> AccountWithSecret:
    """The same with its secret, this once."""
    return AccountWithSecret.model_validate({**_shown(account), "client_secret": secret})


def page_of(accounts: Sequence[ServiceAccount], paging: Paging, *, total: int) -> AccountPage:
    """A slice of ``total`` accounts."""
    return AccountPage(
        items=[view(account) for account in accounts],
        total=total,
        limit=paging.limit,
        offset=paging.offset,
        has_more=paging.offset + len(accounts) < total,
    )


def keys_of(account: ServiceAccount) -> ClientKeySet | None:
    """Its public keys."""
    return None if account.jwks is None else ClientKeySet.model_validate_json(account.jwks)


def _shown(account: ServiceAccount) -> dict[str, object]:
    now = datetime.now(UTC)
    return {
        **account.model_dump(exclude={"scopes", "status", "previous_secret_until", "jwks"}),
        "jwks": keys_of(account),
        "scopes": sorted(account.granted_scopes),
        "status": account.status_at(now),
        "days_until_expiry": _days_left(account.secret_expires_at, now),
        "previous_secret_until": _if_later(account.previous_secret_until, now),
    }


def _days_left(moment: datetime | None, now: datetime) -> int | None:
    return None if moment is None else max(0, (moment - now).days)


def _if_later(moment: datetime | None, now: datetime) -> datetime | None:
    return moment if moment is not None and moment > now else None
