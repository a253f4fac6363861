"""Databases that forward to a real one: what the wrappers of the tests have in common."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from artstore.core.spec import Database, Dialect, Parameters, Row, SearchIndex, Transaction


class Forwarding(Database):
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


class WithoutTextIndex(Forwarding):
    """Lacks the ability."""

    @property
    def search_index(self) -> SearchIndex | None:
        return None


class Recording(Forwarding):
    """Keeps the statements that read."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.statements: list[tuple[str, Parameters]] = []

    async def fetch_one(self, sql: str, parameters: Parameters | None = None) -> Row | None:
        self.statements.append((sql, parameters or {}))
        return await super().fetch_one(sql, parameters)

    async def fetch_all(self, sql: str, parameters: Parameters | None = None) -> Sequence[Row]:
        self.statements.append((sql, parameters or {}))
        return await super().fetch_all(sql, parameters)
