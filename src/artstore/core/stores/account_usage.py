"""How many tokens each service account was given and refused, day by day."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Final

from pydantic import BeforeValidator

from artstore.core.spec import Database, Parameter
from artstore.core.stores.rows import Record, insert_sql

KEPT_DAYS: Final = 400
"""More than a year, so that what is used once a year is seen to be used."""


def _read_day(value: object) -> object:
    return date.fromordinal(value) if isinstance(value, int) else value


class DayCounts(Record):
    """What one account asked for on one day (UTC). The day is kept as its ordinal number."""

    account_id: str
    day: Annotated[date, BeforeValidator(_read_day)]
    tokens_issued: int
    requests_refused: int

    def to_row(self) -> dict[str, Parameter]:
        return {
            "account_id": self.account_id,
            "day": self.day.toordinal(),
            "tokens_issued": self.tokens_issued,
            "requests_refused": self.requests_refused,
        }


_ADD: Final = (
    f"{insert_sql('account_usage', DayCounts)} ON CONFLICT (account_id, day) DO UPDATE SET"
    " tokens_issued = account_usage.tokens_issued + excluded.tokens_issued,"
    " requests_refused = account_usage.requests_refused + excluded.requests_refused"
)


class UsageStore:
    """Sums by account and day."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, counts: Sequence[DayCounts]) -> None:
        """Add to the sums; all of them or none. Days long past are forgotten."""
        oldest = max(each.day for each in counts).toordinal() - KEPT_DAYS
        async with self._database.transaction() as transaction:
            await transaction.executemany(_ADD, [each.to_row() for each in counts])
            await transaction.execute("DELETE FROM account_usage WHERE day < :oldest", {"oldest": oldest})

    async def days(self, account_id: str, *, count: int) -> Sequence[DayCounts]:
        """The last ``count`` days on which there was something, the newest first."""
        rows = await self._database.fetch_all(
            "SELECT * FROM account_usage WHERE account_id = :account_id ORDER BY day DESC LIMIT :count",
            {"account_id": account_id, "count": count},
        )
        return [DayCounts.from_row(row) for row in rows]
