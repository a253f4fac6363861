"""A root to keep objects in, and ways to look behind the back end's back."""

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from artstore.core.testing import plugin_context
from artstore.plugins.storage_local.backend import LocalStorage, open_storage
from artstore.plugins.storage_local.files import Files
from artstore.plugins.storage_local.root import Root

OpenStorage = Callable[[Files], AbstractAsyncContextManager[LocalStorage]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def open_with(root: Path) -> OpenStorage:
    """Opens the root with these primitives."""

    @asynccontextmanager
    async def open_root(files: Files) -> AsyncGenerator[LocalStorage, None]:
        context = plugin_context("storage_local")
        async with open_storage(Root(root, files), threads=4, context=context) as storage:
            await storage.take_over(lambda key: True)
            yield storage

    return open_root


@pytest.fixture
async def storage(open_with: OpenStorage) -> AsyncGenerator[LocalStorage, None]:
    async with open_with(Files()) as storage:
        yield storage


@pytest.fixture
def staged(root: Path) -> Callable[[], list[str]]:
    """Names of the files that are staged now."""
    return lambda: os.listdir(root / ".artstore" / "staging")
