"""SQLite proves the contracts of a database and of its full-text ability."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from artstore.core.spec import Database
from artstore.core.testing import DatabaseContract, SearchIndexContract


class TestSqliteDatabase(DatabaseContract):
    @pytest.fixture
    async def database(
        self, open_database: Callable[[], AbstractAsyncContextManager[Database]]
    ) -> AsyncGenerator[Database, None]:
        async with open_database() as database:
            yield database


class TestSqliteSearchIndex(SearchIndexContract):
    @pytest.fixture
    async def database(
        self, open_database: Callable[[], AbstractAsyncContextManager[Database]]
    ) -> AsyncGenerator[Database, None]:
        async with open_database() as database:
            yield database
