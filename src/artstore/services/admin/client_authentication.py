"""Decides whether a client is who it says: the same work and the same answer for every failure."""

import re
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Final

from artstore.core.logging import get_logger
from artstore.core.stores.accounts import AccountsStore, ServiceAccount
from artstore.services.admin.account_usage import UsageRecorder
from artstore.services.admin.client_requests import ClientProof, TokenRefusedError
from artstore.services.admin.client_secrets import ClientSecrets

CLIENT_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,150}")
_NO_HASH: Final = ""
_log = get_logger("authentication")


class ClientAuthenticator:
    """Authenticates service accounts by client id and secret."""

    def __init__(self, accounts: AccountsStore, secrets: ClientSecrets, usage: UsageRecorder) -> None:
        self._accounts = accounts
        self._usage = usage
        self._secrets = secrets
        # Whom unknown clients are compared with, so that an answer takes as long for them.
        self._nobody = _account_nobody_can_use(secrets.digest(ClientSecrets.new()))

    async def authenticate(self, proof: ClientProof) -> ServiceAccount:
        """The account of the client.

        Raises:
            TokenRefusedError: the credentials do not prove that it is this client.
        """
        # What cannot be an id is looked up all the same, as one that nobody has.
        looked_up = proof.client_id if CLIENT_ID.fullmatch(proof.client_id) else _NO_HASH
        account = await self._accounts.find_by_client_id(looked_up) or self._nobody
        refusal = _refusal(account, self._secrets.digest(proof.client_secret), datetime.now(UTC))
        if refusal is None:
            return account
        if account is not self._nobody:
            self._usage.refused(account.id)
        # The id of an unknown client may be a secret that was put into the wrong field.
        _log.info("client_refused", reason=refusal, client_id=account.client_id)
        raise TokenRefusedError("invalid_client", "client authentication failed")


def _refusal(account: ServiceAccount, digest: str, now: datetime) -> str | None:
    """Why the account cannot be used with this secret; every comparison is always made."""
    is_current = compare_digest(digest, account.secret_hash)
    is_previous = compare_digest(digest, account.previous_secret_hash or _NO_HASH)
    if not (is_current or is_previous):
        return "wrong_credentials"
    until = account.secret_expires_at if is_current else account.previous_secret_until
    # Only a current secret can be good for ever.
    if now >= until if until is not None else not is_current:
        return "expired_secret"
    return None if account.status == "active" else account.status


def _account_nobody_can_use(secret_hash: str) -> ServiceAccount:
    now = datetime.now(UTC)
    return ServiceAccount(
        id="",
        client_id="unknown",
        name="",
        status="deleted",
        secret_hash=secret_hash,
        secret_created_at=now,
        created_at=now,
        updated_at=now,
    )
