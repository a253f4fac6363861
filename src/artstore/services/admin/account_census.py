"""Watches the service accounts: how many there are, and whose secrets are about to expire."""

from datetime import UTC, datetime, timedelta
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from artstore.core.logging import get_logger
from artstore.core.stores.accounts import AccountsStore, ServiceAccount

INTERVAL: Final = 2.0
"""Seconds between two counts."""
WARNED_BEFORE: Final = timedelta(days=14)
"""How long before its expiry a secret is worth a warning."""

_log = get_logger("accounts")


class AccountMetrics:
    """Numbers of accounts. Every process of admin has them: they are read from the database."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.accounts = Gauge(
            "artstore_service_accounts", "Service accounts that are not deleted.", registry=registry
        )
        self.expiring = Gauge(
            "artstore_service_accounts_expiring",
            "Active service accounts whose secret expires within 14 days, or has expired.",
            registry=registry,
        )


class AccountCensus:
    """Keeps the numbers up to date, and warns of each secret once per process."""

    def __init__(self, store: AccountsStore, metrics: AccountMetrics) -> None:
        self._store = store
        self._metrics = metrics
        self._warned: set[tuple[str, datetime | None]] = set()

    async def count(self) -> None:
        """Count anew: other processes change accounts, too."""
        self._metrics.accounts.set(await self._store.count())
        expiring = await self._store.expiring(datetime.now(UTC) + WARNED_BEFORE)
        self._metrics.expiring.set(len(expiring))
        for account in expiring:
            self._warn(account)

    def _warn(self, account: ServiceAccount) -> None:
        warning = (account.id, account.secret_expires_at)
        if warning not in self._warned:
            self._warned.add(warning)
            _log.warning(
                "secret_expires_soon",
                client_id=account.client_id,
                name=account.name,
                expires_at=str(account.secret_expires_at),
            )
