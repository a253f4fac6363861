"""Databases that forward to a real one: what the wrappers of the tests have in common."""

from collections.abc import Sequence

from artstore.core.spec import Database, Parameters, Row, SearchIndex
from artstore.core.stores.forwarding import ForwardingDatabase


class WithoutTextIndex(ForwardingDatabase):
    """Lacks the ability."""

    @property
    def search_index(self) -> SearchIndex | None:
        return None


class Recording(ForwardingDatabase):
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
