"""A real SQLite database with the current schema, and the stores on it."""

import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from artstore.core import migrations
from artstore.core.spec import Database
from artstore.core.stores.files import FilesStore
from artstore.core.stores.search import SearchStore
from artstore.core.testing import plugin_context
from artstore.plugins.metadata_sqlite.plugin import SqliteConfig, open_sqlite


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file that every test gets a copy of: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "artstore.db"
    migrations.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def database_path(migrated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(migrated, tmp_path / "artstore.db"))


@pytest.fixture
async def database(database_path: Path) -> AsyncGenerator[Database, None]:
    config = SqliteConfig(path=database_path, synchronous="normal")
    async with open_sqlite(config, plugin_context("metadata_sqlite")) as database:
        yield database


@pytest.fixture
def files(database: Database) -> FilesStore:
    return FilesStore(database)


@pytest.fixture
def searches(database: Database) -> SearchStore:
    return SearchStore(database)
