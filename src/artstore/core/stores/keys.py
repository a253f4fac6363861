"""The keys that sign access tokens, their private halves encrypted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pydantic import Field

from artstore.core.spec import Database
from artstore.core.stores.rows import Record, StoredTime, insert_sql, to_microseconds


class SigningKey(Record):
    """A key pair that signs from ``signs_from`` to ``signs_until`` and verifies to ``expires_at``.

    ``None`` for either end means: until the key is retired.
    """

    kid: str
    algorithm: str
    public_jwk: str
    private_key_encrypted: bytes = Field(repr=False)
    created_at: StoredTime
    signs_from: StoredTime
    signs_until: StoredTime | None = None
    expires_at: StoredTime | None = None


_ADD_FIRST: Final = (
    f"INSERT INTO signing_keys ({', '.join(SigningKey.model_fields)})"  # noqa: S608 - names of our own
    f" SELECT {', '.join(f':{column}' for column in SigningKey.model_fields)}"
    " WHERE NOT EXISTS (SELECT 1 FROM signing_keys WHERE signs_until IS NULL)"
)


class KeysStore:
    """The signing keys, all of them few."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: SigningKey) -> None:
        """Add a key.

        Raises:
            AlreadyExistsError: its ``kid`` is taken.
        """
        async with self._database.transaction() as transaction:
            await transaction.execute(insert_sql("signing_keys", SigningKey), key.to_row())

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

    async def retire(self, kid: str, *, signs_until: datetime, expires_at: datetime) -> None:
        """Say when a key stops to sign and when to verify. Idempotent: a key retired before stays so."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "UPDATE signing_keys SET signs_until = :signs_until, expires_at = :expires_at"
                " WHERE kid = :kid AND signs_until IS NULL",
                {
                    "kid": kid,
                    "signs_until": to_microseconds(signs_until),
                    "expires_at": to_microseconds(expires_at),
                },
            )

    async def delete_expired(self, *, now: datetime) -> int:
        """Forget the keys that no token can need any more; how many they were."""
        async with self._database.transaction() as transaction:
            return await transaction.execute(
                "DELETE FROM signing_keys WHERE expires_at <= :now", {"now": to_microseconds(now)}
            )
