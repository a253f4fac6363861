"""What every start makes sure of: the secrets this role needs, and ArtStore's own accounts.

The kept secrets are the truth. Whatever differs in the database is made to agree with them, so that a
lost, older or empty database comes back with the accounts that the roles and the operator know.
"""

import uuid
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from artstore.core.client.tokens import ClientCredentials
from artstore.core.logging import get_logger
from artstore.core.secrets import SecretsChain
from artstore.core.spec import AlreadyExistsError, ConfigurationError, NotFoundError
from artstore.core.stores.accounts import AccountsStore, ServiceAccount
from artstore.services.admin.account_changes import with_status
from artstore.services.admin.account_models import AccountEnvironment
from artstore.services.admin.client_authentication import CLIENT_ID
from artstore.services.admin.client_secrets import ClientSecrets, new_client_id
from artstore.services.admin.system_accounts import (
    SYSTEM_ACCOUNTS,
    SystemAccount,
    credentials_text,
    secret_name,
)

SHORTEST_SECRET: Final = 32
"""Bytes: 128 bits in hexadecimal."""

_log = get_logger("bootstrap")


async def required_secret(chain: SecretsChain, name: str) -> bytes:
    """A secret that this role makes itself at its first start.

    Raises:
        ConfigurationError: it is too short to resist guessing, or cannot be kept.
    """
    secret = await chain.get_or_create(name)
    value = secret.value.strip()
    _require_long(value, f"secret {name!r} ({secret.source})")
    return value


class Bootstrap:
    """Makes the system accounts. Any number of processes may do it at once."""

    def __init__(
        self,
        accounts: AccountsStore,
        *,
        client_secrets: ClientSecrets,
        chain: SecretsChain,
        environment: AccountEnvironment,
    ) -> None:
        self._accounts = accounts
        self._client_secrets = client_secrets
        self._chain = chain
        self._environment: AccountEnvironment = environment

    async def run(self) -> None:
        """Make every system account that is not there, and repair those that are.

        Raises:
            ConfigurationError: a secret cannot be kept or read, or an account is in the way.
        """
        for wanted in SYSTEM_ACCOUNTS:
            credentials = await self._credentials(wanted)
            account = await self._accounts.find_by_client_id(credentials.client_id)
            if account is None:
                account = await self._create(wanted, credentials)
            await self._repair(account, wanted, credentials)

    async def _credentials(self, wanted: SystemAccount) -> ClientCredentials:
        name = secret_name(wanted.name)
        client_id = new_client_id(wanted.name, self._environment)
        kept = await self._chain.get_or_create(name, credentials_text(client_id, ClientSecrets.new()))
        try:
            credentials = ClientCredentials.parse(kept.text())
            if not CLIENT_ID.fullmatch(credentials.client_id):
                raise ValueError
        except ValueError:
            raise ConfigurationError(
                f"secret {name!r} ({kept.source}) is not one line of the form client_id:client_secret"
            ) from None
        _require_long(credentials.client_secret.encode(), f"the client secret in {name!r} ({kept.source})")
        return credentials

    async def _create(self, wanted: SystemAccount, credentials: ClientCredentials) -> ServiceAccount:
        await self._make_way(wanted, credentials)
        now = datetime.now(UTC)
        account = ServiceAccount(
            id=str(uuid.uuid4()),
            client_id=credentials.client_id,
            name=wanted.name,
            description=f"ArtStore's own: kept in secret {secret_name(wanted.name)}",
            role=wanted.role,
            scopes=wanted.scopes,
            is_system=True,
            secret_hash=self._client_secrets.digest(credentials.client_secret),
            secret_created_at=now,
            created_at=now,
            updated_at=now,
        )
        try:
            await self._accounts.create(account)
        except AlreadyExistsError:  # another process was first, or somebody else's id is in the secret
            return await self._created_by_another(account)
        _log.info("system_account_made", name=account.name, client_id=account.client_id)
        return account

    async def _make_way(self, wanted: SystemAccount, credentials: ClientCredentials) -> None:
        """Remove what had the name under credentials that are no longer kept."""
        former = await self._accounts.find_by_name(wanted.name)
        if former is None or former.client_id == credentials.client_id:
            return
        if not former.is_system:
            raise ConfigurationError(
                f"service account {former.client_id} has the name {wanted.name!r}, which this release needs "
                "for its own: delete that account before the upgrade"
            )
        with suppress(NotFoundError):  # another process was first
            await self._accounts.change(former.id, lambda account: with_status(account, "deleted"))

    async def _created_by_another(self, account: ServiceAccount) -> ServiceAccount:
        other = await self._accounts.find_by_client_id(account.client_id)
        if other is None:
            raise ConfigurationError(
                f"client id {account.client_id} of secret {secret_name(account.name)!r} was used before "
                "and deleted: remove that secret to have another one made"
            )
        return other

    async def _repair(
        self, account: ServiceAccount, wanted: SystemAccount, credentials: ClientCredentials
    ) -> None:
        """Another release may have given other scopes; a rotation may have been interrupted."""
        if not account.is_system or account.name != wanted.name:
            raise ConfigurationError(
                f"secret {secret_name(wanted.name)!r} holds the credentials of another service account, "
                f"{account.client_id}: remove that secret"
            )
        now = datetime.now(UTC)
        is_right = (account.role, account.scopes, account.status) == (wanted.role, wanted.scopes, "active")
        if not is_right:
            right = {"role": wanted.role, "scopes": wanted.scopes, "status": "active"}
            await self._accounts.change(account.id, lambda found: found.model_copy(update=right))
        digest = self._client_secrets.digest(credentials.client_secret)
        if account.secret_hash != digest:
            await self._accounts.change(
                account.id,
                lambda found: found.with_secret(digest, at=now, expires_at=None, previous_until=now),
            )
            # An older one comes from a backup, or from somebody who has kept it.
            write = _log.warning if digest in account.secret_history else _log.info
            write("system_secret_adopted", name=account.name, client_id=account.client_id)


def _require_long(secret: bytes, what: str) -> None:
    if len(secret) < SHORTEST_SECRET:
        raise ConfigurationError(f"{what} has {len(secret)} bytes: it needs at least {SHORTEST_SECRET}")
