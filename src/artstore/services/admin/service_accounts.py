"""Service accounts: the applications that may use this cluster, and what they may do."""

import uuid
from collections.abc import Set
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import ValidationError

from artstore.core.scopes import PERSON_SCOPES, require_held, scopes_of
from artstore.core.secrets import SecretsChain
from artstore.core.spec import AlreadyExistsError, ForbiddenError
from artstore.core.stores.account_usage import UsageStore
from artstore.core.stores.accounts import AccountsStore, ServiceAccount
from artstore.core.validation import invalid_request
from artstore.services.admin.account_models import (
    AccountDescription,
    AccountEnvironment,
    AccountFilter,
    AccountPage,
    AccountPatch,
    AccountUsage,
    AccountView,
    AccountWithSecret,
    DayOfUse,
    ExpiryWindow,
    NewServiceAccount,
    SecretRotation,
    keys_of,
    page_of,
    view,
    view_with_secret,
)
from artstore.services.admin.client_keys import ClientKeySet
from artstore.services.admin.client_secrets import ClientSecrets, new_client_id
from artstore.services.admin.revocations import Revocations
from artstore.services.admin.system_accounts import credentials_text, secret_name

USAGE_DAYS: Final = 30
"""How many days of use are told."""


class ServiceAccounts:
    """Manages service accounts on behalf of somebody who has ``held_scopes``.

    Nobody makes, changes or ends an account that may do more than they may.
    """

    def __init__(
        self,
        store: AccountsStore,
        *,
        usage: UsageStore,
        client_secrets: ClientSecrets,
        chain: SecretsChain,
        environment: AccountEnvironment,
        revocations: Revocations,
    ) -> None:
        self._store = store
        self._usage = usage
        self._client_secrets = client_secrets
        self._chain = chain
        self._environment: AccountEnvironment = environment
        self._revocations = revocations

    async def create(self, new: NewServiceAccount, *, held_scopes: Set[str]) -> AccountWithSecret:
        """Make an account.

        Raises:
            ForbiddenError: it would be allowed more than its creator.
            AlreadyExistsError: the name is taken.
        """
        require_held(scopes_of(new.role, frozenset(new.scopes)), held_scopes)
        secret = self._client_secrets.new()
        now = datetime.now(UTC)
        account = ServiceAccount(
            id=str(uuid.uuid4()),
            client_id=new_client_id(new.name, new.environment or self._environment),
            name=new.name,
            description=new.description,
            role=new.role,
            scopes=frozenset(new.scopes),
            rate_limit=new.rate_limit,
            jwks=_kept(new.jwks),
            has_bound_tokens=new.has_bound_tokens,
            secret_hash=self._client_secrets.digest(secret),
            secret_created_at=now,
            secret_expires_at=_expiry(now, days=new.expires_in_days),
            created_at=now,
            updated_at=now,
        )
        try:
            await self._store.create(account)
        except AlreadyExistsError:
            raise _name_taken(new.name) from None
        return view_with_secret(account, secret)

    async def list(self, asked: AccountFilter) -> AccountPage:
        """Accounts by name; deleted ones only when they are asked for."""
        page = await self._store.list(
            status=asked.status,
            role=asked.role,
            search=asked.search,
            limit=asked.limit,
            offset=asked.offset,
        )
        return page_of(page.items, asked, total=page.total)

    async def expiring(self, window: ExpiryWindow) -> AccountPage:
        """Accounts whose secret will soon be good for nothing, or is already; the soonest first."""
        until = datetime.now(UTC) + timedelta(days=window.within_days)
        found = await self._store.expiring(until)
        return page_of(found[window.offset :][: window.limit], window, total=len(found))

    async def get(self, account_id: uuid.UUID) -> AccountView:
        """One account.

        Raises:
            NotFoundError: there is none, or it is deleted.
        """
        return view(await self._store.get(str(account_id)))

    async def usage(self, account_id: uuid.UUID) -> AccountUsage:
        """What it asked for lately.

        Raises:
            NotFoundError: there is none, or it is deleted.
        """
        account = await self._store.get(str(account_id))
        days = await self._usage.days(account.id, count=USAGE_DAYS)
        return AccountUsage(
            account_id=account_id,
            last_used_at=account.last_used_at,
            tokens_issued=sum(day.tokens_issued for day in days),
            requests_refused=sum(day.requests_refused for day in days),
            days=[DayOfUse.model_validate(day.model_dump(exclude={"account_id"})) for day in days],
        )

    async def replace(
        self, account_id: uuid.UUID, wanted: AccountDescription, *, held_scopes: Set[str]
    ) -> AccountView:
        """Describe an account anew. What it may no longer do, its tokens may not either from now on.

        Raises:
            NotFoundError: there is none, or it is deleted.
            ForbiddenError: ArtStore itself needs it, or it may or would be allowed more than whoever asks.
            AlreadyExistsError: the name is taken.
        """
        account = await self._changeable(account_id, held_scopes)
        return await self._describe(account, wanted, held_scopes)

    async def patch(
        self, account_id: uuid.UUID, change: AccountPatch, *, held_scopes: Set[str]
    ) -> AccountView:
        """Change what ``change`` names.

        Raises:
            InvalidRequestError: the account would not be one any more.
            NotFoundError, ForbiddenError, AlreadyExistsError: as :meth:`replace`.
        """
        account = await self._changeable(account_id, held_scopes)
        fields = AccountDescription.model_fields
        present = {name: value for name, value in account.model_dump().items() if name in fields}
        present["jwks"] = keys_of(account)
        try:
            wanted = AccountDescription.model_validate(
                {**present, **change.model_dump(exclude_unset=True)}, strict=False
            )
        except ValidationError as error:
            raise invalid_request(error, AccountDescription) from None
        return await self._describe(account, wanted, held_scopes)

    async def delete(self, account_id: uuid.UUID, *, held_scopes: Set[str]) -> None:
        """Delete an account: it gets no more tokens, and those it has are refused.

        Raises:
            NotFoundError: there is none, or it is deleted.
            ForbiddenError: ArtStore itself needs it, or it may do more than whoever asks.
        """
        account = await self._changeable(account_id, held_scopes)
        await self._store.delete(account.id, at=datetime.now(UTC))
        await self._revocations.look()

    async def suspend(self, account_id: uuid.UUID, *, held_scopes: Set[str]) -> AccountView:
        """Give an account no more tokens, and refuse those it has, until it is activated again.

        Raises:
            NotFoundError, ForbiddenError: as :meth:`delete`.
        """
        account = await self._changeable(account_id, held_scopes)
        suspended = await self._store.update(account.id, at=datetime.now(UTC), status="suspended")
        await self._revocations.look()
        return view(suspended)

    async def activate(self, account_id: uuid.UUID, *, held_scopes: Set[str]) -> AccountView:
        """End a suspension. Tokens from before it stay refused.

        Raises:
            NotFoundError, ForbiddenError: as :meth:`delete`.
        """
        account = await self._changeable(account_id, held_scopes)
        activated = await self._store.update(account.id, at=datetime.now(UTC), status="active")
        await self._revocations.look()
        return view(activated)

    async def revoke_tokens(self, account_id: uuid.UUID, *, held_scopes: Set[str]) -> AccountView:
        """Refuse every token that the account has. It may ask for others.

        Raises:
            NotFoundError: there is none, or it is deleted.
            ForbiddenError: it may do more than whoever asks.
        """
        account = await self._store.get(str(account_id))
        require_held(_grantable(account), held_scopes)
        revoked = await self._store.revoke_tokens(account.id, at=datetime.now(UTC))
        await self._revocations.look()
        return view(revoked)

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
        require_held(_grantable(account), held_scopes)
        secret = self._client_secrets.new()
        if account.is_system:
            # The kept one changes first: it is what holds if this is interrupted (see bootstrap).
            await self._chain.replace(secret_name(account.name), credentials_text(account.client_id, secret))
            return view_with_secret(await self._replace_secret(account, secret, rotation), None)
        return view_with_secret(await self._replace_secret(account, secret, rotation), secret)

    async def _changeable(self, account_id: uuid.UUID, held_scopes: Set[str]) -> ServiceAccount:
        account = await self._store.get(str(account_id))
        if account.is_system:
            raise ForbiddenError(
                f"service account {account.name} is one of ArtStore's own: it stays as it is"
            )
        require_held(account.granted_scopes, held_scopes)
        return account

    async def _describe(
        self, account: ServiceAccount, wanted: AccountDescription, held_scopes: Set[str]
    ) -> AccountView:
        require_held(scopes_of(wanted.role, frozenset(wanted.scopes)), held_scopes)
        try:
            changed = await self._store.update(
                account.id,
                at=datetime.now(UTC),
                name=wanted.name,
                description=wanted.description,
                role=wanted.role,
                scopes=frozenset(wanted.scopes),
                rate_limit=wanted.rate_limit,
                jwks=_kept(wanted.jwks),
                has_bound_tokens=wanted.has_bound_tokens,
            )
        except AlreadyExistsError:
            raise _name_taken(wanted.name) from None
        await self._revocations.look()
        return view(changed)

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


def _kept(keys: ClientKeySet | None) -> str | None:
    return None if keys is None else keys.model_dump_json()


def _grantable(account: ServiceAccount) -> frozenset[str]:
    """What a person could have of the account's scopes; the rest is for ArtStore's own roles alone."""
    scopes = account.granted_scopes
    return scopes & PERSON_SCOPES["super_admin"] if account.is_system else scopes


def _name_taken(name: str) -> AlreadyExistsError:
    return AlreadyExistsError(f"there is a service account {name} already")


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
