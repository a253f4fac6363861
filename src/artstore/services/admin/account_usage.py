"""Counts what service accounts ask for, and writes it down from time to time."""

from collections import Counter
from datetime import UTC, date, datetime
from typing import Final

from artstore.core.stores.account_usage import DayCounts, UsageStore

WRITE_INTERVAL: Final = 2.0
"""Seconds between two writes: a write for every token would cost more than the token."""


class UsageRecorder:
    """Keeps the counts of the last seconds in memory. Whoever may get tokens does not wait for it."""

    def __init__(self, store: UsageStore) -> None:
        self._store = store
        self._issued: Counter[tuple[str, date]] = Counter()
        self._refused: Counter[tuple[str, date]] = Counter()

    def issued(self, account_id: str) -> None:
        """The account was given a token."""
        self._issued[account_id, _today()] += 1

    def refused(self, account_id: str) -> None:
        """Somebody who named the account was given none."""
        self._refused[account_id, _today()] += 1

    async def write(self) -> None:
        """Write what has been counted since the last time. What cannot be written is counted on, and kept.

        Raises:
            ArtStoreError: the database is away.
        """
        keys = self._issued.keys() | self._refused.keys()
        if not keys:
            return
        counts = [
            DayCounts(
                account_id=key[0],
                day=key[1],
                tokens_issued=self._issued[key],
                requests_refused=self._refused[key],
            )
            for key in sorted(keys)
        ]
        await self._store.add(counts)
        for each in counts:
            key = (each.account_id, each.day)
            self._issued[key] -= each.tokens_issued
            self._refused[key] -= each.requests_refused
        self._issued, self._refused = +self._issued, +self._refused


def _today() -> date:
    return datetime.now(UTC).date()
