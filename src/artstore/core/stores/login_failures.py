"""Logins that failed, and the places from which people have logged in before.

Names are kept as keyed hashes: what is typed into the field of the name is now and then a password.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from artstore.core.spec import Database, Transaction
from artstore.core.stores.rows import (
    Record,
    StoredTime,
    from_microseconds,
    integer,
    text,
    to_microseconds,
)

STRANGERS: Final = "strangers"
"""The one place that stands for all from which somebody has not logged in before."""

_REMEMBERED_FOR: Final = timedelta(days=30)
_REMEMBERED_PLACES: Final = 10


class _Failures(Record):
    failures: int
    last_at: StoredTime


@dataclass(frozen=True, slots=True)
class Lockout:
    """After ``limit`` failures without a success between them, nothing is tried for ``duration``."""

    limit: int
    duration: timedelta


class LoginFailuresStore:
    """Counts attempts by name and place."""

    def __init__(self, database: Database, lockout: Lockout) -> None:
        self._database = database
        self._lockout = lockout

    async def count_attempt(self, name_hash: str, source: str, *, at: datetime) -> datetime | None:
        """Count an attempt as failed before it is made: a thousand at once are not a thousand guesses.

        ``None`` when it may be made; the end of the lock when it may not, which is not counted.
        """
        async with self._database.transaction() as transaction:
            place = await _place(transaction, name_hash, source)
            found = await transaction.fetch_one(
                "SELECT failures, last_at FROM login_failures WHERE name_hash = :name AND source = :source",
                {"name": name_hash, "source": place},
            )
            known = None if found is None else _Failures.from_row(found)
            failures = known.failures if known and known.last_at + self._lockout.duration > at else 0
            if known and failures >= self._lockout.limit:
                return known.last_at + self._lockout.duration
            await self._forget_old(transaction, at)
            await _put_failures(transaction, name_hash, place, failures + 1, at)
            return None

    async def note_success(self, name_hash: str, source: str, *, at: datetime) -> None:
        """Forget the failures of this place, and know it from now on. Those of strangers stay counted."""
        async with self._database.transaction() as transaction:
            place = await _place(transaction, name_hash, source)
            await transaction.execute(
                "DELETE FROM login_failures WHERE name_hash = :name AND source = :source",
                {"name": name_hash, "source": place},
            )
            await _remember(transaction, name_hash, source, at)

    async def unlock(self, name_hash: str) -> None:
        """Forget all failures of a name."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "DELETE FROM login_failures WHERE name_hash = :name", {"name": name_hash}
            )

    async def locked(self, *, at: datetime) -> Mapping[str, datetime]:
        """The hashed names that are locked out somewhere, and until when."""
        rows = await self._database.fetch_all(
            "SELECT name_hash, MAX(last_at) AS last_at FROM login_failures"
            " WHERE failures >= :limit AND last_at > :after GROUP BY name_hash",
            {"limit": self._lockout.limit, "after": to_microseconds(at - self._lockout.duration)},
        )
        return {
            text(row, "name_hash"): from_microseconds(integer(row, "last_at")) + self._lockout.duration
            for row in rows
        }

    async def _forget_old(self, transaction: Transaction, at: datetime) -> None:
        """Names that nobody has can be invented without end: what no longer counts goes."""
        await transaction.execute(
            "DELETE FROM login_failures WHERE last_at <= :before",
            {"before": to_microseconds(at - self._lockout.duration)},
        )


async def forget_name(transaction: Transaction, name_hash: str) -> None:
    """Nobody has the name any more."""
    for table in ("login_failures", "login_sources"):
        await transaction.execute(
            f"DELETE FROM {table} WHERE name_hash = :name",  # noqa: S608 - our own names
            {"name": name_hash},
        )


async def _place(transaction: Transaction, name_hash: str, source: str) -> str:
    row = await transaction.fetch_one(
        "SELECT 1 AS found FROM login_sources WHERE name_hash = :name AND source = :source",
        {"name": name_hash, "source": source},
    )
    return STRANGERS if row is None else source


async def _put_failures(
    transaction: Transaction, name_hash: str, place: str, failures: int, at: datetime
) -> None:
    await transaction.execute(
        "INSERT INTO login_failures (name_hash, source, failures, last_at)"
        " VALUES (:name, :source, :failures, :at) ON CONFLICT (name_hash, source)"
        " DO UPDATE SET failures = excluded.failures, last_at = excluded.last_at",
        {"name": name_hash, "source": place, "failures": failures, "at": to_microseconds(at)},
    )


async def _remember(transaction: Transaction, name_hash: str, source: str, at: datetime) -> None:
    await transaction.execute(
        "INSERT INTO login_sources (name_hash, source, last_at) VALUES (:name, :source, :at)"
        " ON CONFLICT (name_hash, source) DO UPDATE SET last_at = excluded.last_at",
        {"name": name_hash, "source": source, "at": to_microseconds(at)},
    )
    await transaction.execute(
        "DELETE FROM login_sources WHERE name_hash = :name AND (last_at <= :before OR source NOT IN"
        " (SELECT source FROM login_sources WHERE name_hash = :name ORDER BY last_at DESC LIMIT :kept))",
        {
            "name": name_hash,
            "before": to_microseconds(at - _REMEMBERED_FOR),
            "kept": _REMEMBERED_PLACES,
        },
    )
