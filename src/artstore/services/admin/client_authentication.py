"""Decides whether a client is who it says: the same work and the same answer for every failure."""

import re
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Final

from artstore.core.audit.notes import note
from artstore.core.audit.record import Actor
from artstore.core.logging import get_logger
from artstore.core.stores.accounts import AccountsStore, ServiceAccount
from artstore.services.admin.account_usage import UsageRecorder
from artstore.services.admin.client_assertions import ClientAssertions
from artstore.services.admin.client_requests import ClientProof, TokenRefusedError
from artstore.services.admin.client_secrets import ClientSecrets

CLIENT_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,150}")
_NOBODY: Final = ""
_NO_HASH: Final = ""
_log = get_logger("authentication")


class ClientAuthenticator:
    """Authenticates service accounts by secret or by assertion.

    ``stand_in`` is the client id of an account that is always there: it is looked at in place of clients
    that are not, so that an answer takes as long for them.
    """

    def __init__(
        self,
        accounts: AccountsStore,
        secrets: ClientSecrets,
        assertions: ClientAssertions,
        usage: UsageRecorder,
        *,
        stand_in: str,
    ) -> None:
        self._accounts = accounts
        self._secrets = secrets
        self._assertions = assertions
        self._usage = usage
        self._stand_in = stand_in

    async def authenticate(self, proof: ClientProof) -> ServiceAccount:
        """The account of the client.

        Raises:
            TokenRefusedError: the credentials do not prove that it is this client.
        """
        # What cannot be an id is looked up all the same, as one that nobody has.
        asked = proof.client_id if CLIENT_ID.fullmatch(proof.client_id) else _NOBODY
        account = await self._accounts.find_or_stand_in(asked, stand_in=self._stand_in)
        if account is None:  # another process has just replaced the stand-in
            raise _refused()
        is_known = account.client_id == asked
        refusal = await self._refusal(account, proof)
        actor = Actor(subject=asked, client_id=asked, kind="service_account")  # made for strangers, too
        if refusal is None and is_known:
            note(actor=actor)
            return account
        note(actor=actor if is_known else None, reason=refusal)
        self._usage.refused(account.id if is_known else _NOBODY)
        # The id of an unknown client may be a secret that was put into the wrong field.
        _log.info("client_refused", reason=refusal, client_id=asked if is_known else "unknown")
        raise _refused()

    async def _refusal(self, account: ServiceAccount, proof: ClientProof) -> str | None:
        if proof.assertion is None:
            return _refusal(account, self._secrets.digest(proof.client_secret), datetime.now(UTC))
        refusal = await self._assertions.refusal(account, proof.assertion)
        return refusal or (None if account.status == "active" else account.status)


def _refused() -> TokenRefusedError:
    return TokenRefusedError("invalid_client", "client authentication failed")


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
