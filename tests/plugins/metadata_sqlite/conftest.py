"""Databases in a temporary folder."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from artstore.core.spec import Database
from artstore.core.testing import plugin_context
from artstore.plugins.metadata_sqlite.plugin import SqliteConfig, open_sqlite

OpenDatabase = Callable[..., AbstractAsyncContextManager[Database]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "artstore.db"


@pytest.fixture
def open_database(path: Path) -> OpenDatabase:
    """Opens the database at ``path`` with the options given."""

    def open_it(**options: Any) -> AbstractAsyncContextManager[Database]:
        config = SqliteConfig.model_validate({"path": path, "synchronous": "normal", **options})
        return open_sqlite(config, plugin_context("metadata_sqlite"))

    return open_it
