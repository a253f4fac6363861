"""What a change makes of a service account."""

from datetime import datetime, timedelta

from pydantic import ValidationError

from artstore.core.stores.accounts import AccountStatus, ServiceAccount
from artstore.core.validation import invalid_request
from artstore.services.admin.account_models import (
    AccountDescription,
    AccountPatch,
    SecretRotation,
    keys_of,
)
from artstore.services.admin.client_keys import ClientKeySet


def described(account: ServiceAccount, wanted: AccountDescription) -> ServiceAccount:
    """The account as it is described anew."""
    fields = {
        "name": wanted.name,
        "description": wanted.description,
        "role": wanted.role,
        "scopes": frozenset(wanted.scopes),
        "rate_limit": wanted.rate_limit,
        "jwks": kept(wanted.jwks),
        "has_bound_tokens": wanted.has_bound_tokens,
    }
    return account.model_copy(update=fields)


def patched(account: ServiceAccount, change: AccountPatch) -> ServiceAccount:
    """The account with what ``change`` names.

    Raises:
        InvalidRequestError: it would not be an account any more.
    """
    fields = AccountDescription.model_fields
    present = {name: value for name, value in account.model_dump().items() if name in fields}
    present["jwks"] = keys_of(account)
    try:
        wanted = AccountDescription.model_validate(
            {**present, **change.model_dump(exclude_unset=True)}, strict=False
        )
    except ValidationError as error:
        raise invalid_request(error, AccountDescription) from None
    return described(account, wanted)


def with_status(account: ServiceAccount, status: AccountStatus) -> ServiceAccount:
    """The account suspended, active, or deleted for good."""
    return account.model_copy(update={"status": status})


def with_secret(
    account: ServiceAccount, secret_hash: str, rotation: SecretRotation, now: datetime
) -> ServiceAccount:
    """The account with a new secret, as ``rotation`` asks for it."""
    previous_until = now + timedelta(seconds=rotation.grace_seconds)
    return account.with_secret(
        secret_hash,
        at=now,
        expires_at=_next_expiry(account, rotation, now),
        # A secret that has expired does not come to life again by being replaced.
        previous_until=min(previous_until, account.secret_expires_at or previous_until),
    )


def kept(keys: ClientKeySet | None) -> str | None:
    """Public keys as the account keeps them."""
    return None if keys is None else keys.model_dump_json()


def expiry(now: datetime, *, days: int) -> datetime | None:
    """When a secret of now expires; 0 days: never."""
    return now + timedelta(days=days) if days else None


def _next_expiry(account: ServiceAccount, rotation: SecretRotation, now: datetime) -> datetime | None:
    """The secrets of system accounts do not expire: nobody would be there to replace them."""
    if account.is_system:
        return None
    if rotation.expires_in_days is not None:
        return expiry(now, days=rotation.expires_in_days)
    if account.secret_expires_at is None:
        return None
    return now + (account.secret_expires_at - account.secret_created_at)
