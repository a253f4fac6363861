"""The keys that sign access tokens, their private halves encrypted."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from pydantic import Field

from artstore.core.revocation import withdrawn_key
from artstore.core.spec import Database, NotFoundError, Transaction
from artstore.core.stores.revocations import add_revocation
from artstore.core.stores.rows import Record, StoredTime, insert_sql, to_microseconds


class SigningKey(Record):
    """A key pair that signs from ``signs_from`` to ``signs_until`` and verifies to ``expires_at``.

    ``None`` for either end means: until the key is retired. One that was withdrawn does neither, ever.
    """

    kid: str
    algorithm: str
    public_jwk: str
    private_key_encrypted: bytes = Field(repr=False)
    created_at: StoredTime
    signs_from: StoredTime
    signs_until: StoredTime | None = None
    expires_at: StoredTime | None = None
    withdrawn_at: StoredTime | None = None


_ADD_FIRST: Final = (
    f"INSERT INTO signing_keys ({', '.join(SigningKey.model_fields)})"  # noqa: S608 - names of our own
    f" SELECT {', '.join(f':{column}' for column in SigningKey.model_fields)}"
    " WHERE NOT EXISTS (SELECT 1 FROM signing_keys WHERE signs_until IS NULL)"
)

_WITHDRAW: Final = (
    "UPDATE signing_keys SET withdrawn_at = :now, expires_at = :now, private_key_encrypted = :nothing,"
    " signs_until = CASE WHEN signs_until < :now THEN signs_until ELSE :now END WHERE kid = :kid"
)


class KeysStore:
    """The signing keys, all of them few."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_first(self, key: SigningKey) -> bool:
        """Add a key unless there is one that signs without end; whether it was added.

        Of several processes that start at once on an empty database, one succeeds.
        """
        async with self._database.transaction() as transaction:
            return await transaction.execute(_ADD_FIRST, key.to_row()) == 1

    async def list(self) -> Sequence[SigningKey]:
        """Every key, expired ones too, the one that signs last first."""
        rows = await self._database.fetch_all("SELECT * FROM signing_keys ORDER BY signs_from DESC, kid")
        return [SigningKey.from_row(row) for row in rows]

    async def rotate(self, key: SigningKey, *, now: datetime, verifies_for: timedelta) -> SigningKey:
        """Let ``key`` sign from its ``signs_from`` on, and what signs until then verify for so much longer.

        While another key waits for its turn already, nothing changes; the key that signs next.

        Raises:
            AlreadyExistsError: it has signed before.
        """
        async with self._database.transaction() as transaction:
            waiting = await transaction.fetch_one(
                "SELECT * FROM signing_keys WHERE signs_until IS NULL AND signs_from > :now",
                {"now": to_microseconds(now)},
            )
            if waiting is not None:
                return SigningKey.from_row(waiting)
            await transaction.execute(
                "UPDATE signing_keys SET signs_until = :signs_until, expires_at = :expires_at"
                " WHERE signs_until IS NULL",
                {
                    "signs_until": to_microseconds(key.signs_from),
                    "expires_at": to_microseconds(key.signs_from + verifies_for),
                },
            )
            await transaction.execute(insert_sql("signing_keys", SigningKey), key.to_row())
        return key

    async def withdraw(self, kid: str, *, now: datetime, instead: SigningKey) -> bool:
        """Let a key neither sign nor verify any more, and every role refuse what it has signed.

        If it was to sign on, the key that waits signs from now on; where none waits, ``instead`` does.
        Whether anything changed: it may have been withdrawn before.

        Raises:
            NotFoundError: there is no such key.
        """
        async with self._database.transaction() as transaction:
            row = await transaction.fetch_one("SELECT * FROM signing_keys WHERE kid = :kid", {"kid": kid})
            if row is None:
                raise NotFoundError(f"there is no signing key {kid}")
            key = SigningKey.from_row(row)
            if key.withdrawn_at is not None:
                return False
            await transaction.execute(_WITHDRAW, {"kid": kid, "now": to_microseconds(now), "nothing": b""})
            if not await _is_succeeded(transaction, key, now):
                await transaction.execute(insert_sql("signing_keys", SigningKey), instead.to_row())
            await add_revocation(transaction, withdrawn_key(kid, at=now))
        return True

    async def forget(self, *, now: datetime, history: timedelta) -> None:
        """Forget the private halves of keys that have expired, and after ``history`` the rest of them.

        What was withdrawn stays known, so that it is never taken for a new key.
        """
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "UPDATE signing_keys SET private_key_encrypted = :nothing"
                " WHERE expires_at <= :now AND private_key_encrypted <> :nothing",
                {"nothing": b"", "now": to_microseconds(now)},
            )
            await transaction.execute(
                "DELETE FROM signing_keys WHERE expires_at <= :long_ago AND withdrawn_at IS NULL",
                {"long_ago": to_microseconds(now - history)},
            )


async def _is_succeeded(transaction: Transaction, withdrawn: SigningKey, now: datetime) -> bool:
    """Whether another key signs, now that one was withdrawn: the next one at once, or the last one on."""
    moments = {"now": to_microseconds(now), "until": to_microseconds(withdrawn.signs_from)}
    if withdrawn.signs_until is not None:
        if withdrawn.signs_until > now:
            await transaction.execute(
                "UPDATE signing_keys SET signs_from = :now WHERE signs_until IS NULL", {"now": moments["now"]}
            )
        return True
    if withdrawn.signs_from <= now:
        return False
    given_back = await transaction.execute(
        "UPDATE signing_keys SET signs_until = NULL, expires_at = NULL"
        " WHERE signs_until = :until AND signs_until > :now AND withdrawn_at IS NULL",
        moments,
    )
    return given_back == 1
