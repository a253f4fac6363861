"""Assertions that clients have proved themselves with: each is good once."""

from datetime import datetime
from typing import Final

from artstore.core.spec import AlreadyExistsError, Database
from artstore.core.stores.rows import to_microseconds

_USE: Final = (
    "INSERT INTO used_assertions (client_id, assertion_id, expires_at)"
    " VALUES (:client_id, :assertion_id, :expires_at)"
)


class AssertionsStore:
    """The assertions that have not expired yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def use(self, client_id: str, assertion_id: str, *, now: datetime, expires_at: datetime) -> bool:
        """Use an assertion up; whether it had not been used before, by any process."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "DELETE FROM used_assertions WHERE expires_at <= :now", {"now": to_microseconds(now)}
            )
            try:
                await transaction.execute(
                    _USE,
                    {
                        "client_id": client_id,
                        "assertion_id": assertion_id,
                        "expires_at": to_microseconds(expires_at),
                    },
                )
            except AlreadyExistsError:
                return False
        return True
