"""SQLite proves the contracts of a database and of its full-text ability."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from artstore.core.spec import Database
from artstore.core.testing import DatabaseContract, SearchIndexContract, plugin_context
from artstore.plugins.metadata_sqlite.plugin import SqliteConfig, open_sqlite


class TestSqliteDatabase(DatabaseContract):
    @pytest.fixture
    async def database(self, tmp_path: Path) -> AsyncGenerator[Database, None]:
        config = SqliteConfig(path=tmp_path / "artstore.db", synchronous="normal")
        async with open_sqlite(config, plugin_context("metadata_sqlite")) as database:
            yield database


class TestSqliteSearchIndex(SearchIndexContract):
    @pytest.fixture
    async def database(self, tmp_path: Path) -> AsyncGenerator[Database, None]:
        config = SqliteConfig(path=tmp_path / "artstore.db", synchronous="normal")
        async with open_sqlite(config, plugin_context("metadata_sqlite")) as database:
            yield database
