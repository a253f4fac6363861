"""The index's tables: admin makes them, perhaps after this role has started."""

import asyncio
from time import monotonic
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from artstore.core import migrations
from artstore.core.spec import Database, UnavailableError

LOOK_INTERVAL: Final = 0.5
"""Seconds between two looks while the tables are not there."""


class Schema:
    """Whether the tables are there, and are those that this release reads. Once they are, they stay."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looking = asyncio.Lock()
        self._looked_at = -LOOK_INTERVAL
        self._is_there = False

    async def require(self) -> None:
        """Let nobody read what is not there.

        Raises:
            UnavailableError: the tables are not there, or are of another release.
        """
        if self._is_there:
            return
        async with self._looking:
            if not self._is_there and monotonic() - self._looked_at >= LOOK_INTERVAL:
                self._is_there = await self._look()
                self._looked_at = monotonic()
        if not self._is_there:
            raise UnavailableError("the index is not there yet: admin makes it, or brings it up to date")

    async def check(self) -> str:
        """For readiness: whether the database answers and has the tables.

        Raises:
            UnavailableError: it does not, or has not.
        """
        await self.require()
        await self._database.fetch_one("SELECT 1 AS answer")
        return f"{self._database.dialect} answers"

    async def _look(self) -> bool:
        try:
            return await asyncio.to_thread(migrations.is_current, self._database.url)
        except SQLAlchemyError as error:
            raise UnavailableError("the database cannot be reached") from error
