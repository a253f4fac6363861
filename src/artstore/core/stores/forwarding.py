"""What databases that add something to another one have in common."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from artstore.core.spec import Database, Dialect, Parameters, Row, SearchIndex, Transaction


class ForwardingDatabase(Database):
    """Does all as the database within."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def dialect(self) -> Dialect:
        return self._database.dialect

    @property
    def url(self) -> str:
        return self._database.url

    @property
    def search_index(self) -> SearchIndex | None:
        return self._database.search_index

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._database.transaction()

    async def fetch_one(self, sql: str, parameters: Parameters | None = None) -> Row | None:
        return await self._database.fetch_one(sql, parameters)

    async def fetch_all(self, sql: str, parameters: Parameters | None = None) -> Sequence[Row]:
        return await self._database.fetch_all(sql, parameters)
