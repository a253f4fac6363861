"""Service accounts: the applications that may use this cluster, and what they may do."""

import uuid
from collections.abc import Callable, Set
from datetime import UTC, datetime, timedelta
from typing import Final

from artstore.core.client.tokens import ClientCredentials
from artstore.core.scopes import PERSON_SCOPES, require_held, scopes_of
from artstore.core.secrets import SecretsChain
from artstore.core.spec import AlreadyExistsError, ForbiddenError
from artstore.core.stores.account_usage import UsageStore
from artstore.core.stores.accounts import AccountsStore, ServiceAccount
from artstore.services.admin.account_changes import (
    described,
    expiry,
    kept,
    patched,
    with_secret,
    with_status,
)
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
    page_of,
    view,
    view_with_secret,
)
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
            jwks=kept(new.jwks),
            has_bound_tokens=new.has_bound_tokens,
            secret_hash=self._client_secrets.digest(secret),
            secret_created_at=now,
            secret_expires_at=expiry(now, days=new.expires_in_days),
            created_at=now,
            updated_at=now,
        )
        try:
            await self._store.create(account)
        except AlreadyExistsError:
            raise AlreadyExistsError(f"there is a service account {new.name} already") from None
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
        return await self._change(account_id, lambda account: described(account, wanted), held_scopes)

    async def patch(
        self, account_id: uuid.UUID, change: AccountPatch, *, held_scopes: Set[str]
    ) -> AccountView:
        """Change what ``change`` names.

        Raises:
            InvalidRequestError: the account would not be one any more.
            NotFoundError, ForbiddenError, AlreadyExistsError: as :meth:`replace`.
        """
        return await self._change(account_id, lambda account: patched(account, change), held_scopes)

    async def delete(self, account_id: uuid.UUID, *, held_scopes: Set[str]) -> None:
        """Delete an account: it gets no more tokens, and those it has are refused.

        Raises:
            NotFoundError: there is none, or it is deleted.
            ForbiddenError: ArtStore itself needs it, or it may do more than whoever asks.
        """
        await self._change(account_id, lambda account: with_status(account, "deleted"), held_scopes)

    async def suspend(self, account_id: uuid.UUID, *, held_scopes: Set[str]) -> AccountView:
        """Give an account no more tokens, and refuse those it has, until it is activated again.

        Raises:
            NotFoundError, ForbiddenError: as :meth:`delete`.
        """
        return await self._change(account_id, lambda account: with_status(account, "suspended"), held_scopes)

    async def activate(self, account_id: uuid.UUID, *, held_scopes: Set[str]) -> AccountView:
        """End a suspension. Tokens from before it stay refused.

        Raises:
            NotFoundError, ForbiddenError: as :meth:`delete`.
        """
        return await self._change(account_id, lambda account: with_status(account, "active"), held_scopes)

    async def revoke_tokens(self, account_id: uuid.UUID, *, held_scopes: Set[str]) -> AccountView:
        """Refuse every token that the account has. It may ask for others.

        Raises:
            NotFoundError: there is none, or it is deleted.
            ForbiddenError: it may do more than whoever asks.
        """
        account = await self._store.get(str(account_id))
        require_held(_grantable(account), held_scopes)
        revoked = await self._store.revoke_tokens(account.id)
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
        secret = self._client_secrets.new()

        def check(account: ServiceAccount) -> None:
            require_held(_grantable(account), held_scopes)

        account = await self._store.get(str(account_id))
        if not account.is_system:
            return view_with_secret(await self._replace_secret(account, secret, rotation, check), secret)
        check(account)
        # The kept one changes first: it is what holds if this is interrupted (see bootstrap).
        await self._chain.replace(secret_name(account.name), credentials_text(account.client_id, secret))
        while True:
            account = await self._replace_secret(account, secret, rotation, check)
            kept = await self._chain.require(secret_name(account.name))
            secret, replaced = ClientCredentials.parse(kept.text()).client_secret, secret
            if secret == replaced:
                return view_with_secret(account, None)
            # Somebody else rotates it just now: of several, the one that is kept holds.

    async def _replace_secret(
        self,
        account: ServiceAccount,
        secret: str,
        rotation: SecretRotation,
        check: Callable[[ServiceAccount], None],
    ) -> ServiceAccount:
        digest, now = self._client_secrets.digest(secret), datetime.now(UTC)

        def rotated(found: ServiceAccount) -> ServiceAccount:
            check(found)
            return with_secret(found, digest, rotation, now)

        return await self._store.change(account.id, rotated)

    async def _change(
        self,
        account_id: uuid.UUID,
        change: Callable[[ServiceAccount], ServiceAccount],
        held_scopes: Set[str],
    ) -> AccountView:
        """Change an account that neither may nor would be allowed more than whoever asks."""

        def changed(account: ServiceAccount) -> ServiceAccount:
            if account.is_system:
                raise ForbiddenError(
                    f"service account {account.name} is one of ArtStore's own: it stays as it is"
                )
            require_held(account.granted_scopes, held_scopes)
            after = change(account)
            require_held(after.granted_scopes, held_scopes)
            return after

        try:
            account = await self._store.change(str(account_id), changed)
        except AlreadyExistsError:
            raise AlreadyExistsError("another service account has this name") from None
        await self._revocations.look()
        return view(account)


def _grantable(account: ServiceAccount) -> frozenset[str]:
    """What a person could have of the account's scopes; the rest is for ArtStore's own roles alone."""
    scopes = account.granted_scopes
    return scopes & PERSON_SCOPES["super_admin"] if account.is_system else scopes
