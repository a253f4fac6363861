"""Two clusters for tests that leave them as they found them, but for the files they store."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from tests.services.finalization.harness import AT_ONCE, Finalizing, start_finalizing
from tests.services.roles import Roles


@asynccontextmanager
async def _shared(
    initialised: Path, data: Path, admin: Mapping[str, object]
) -> AsyncGenerator[Finalizing, None]:
    await asyncio.to_thread(shutil.copytree, initialised, data, dirs_exist_ok=True)
    async with ClientSession() as session:
        roles = Roles(data, session)
        yield await start_finalizing(roles, admin=admin)
        await roles.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def finalizing(
    initialised: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Finalizing, None]:
    """Sources are removed at once."""
    async with _shared(initialised, tmp_path_factory.mktemp("at-once"), AT_ONCE) as finalizing:
        yield finalizing


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keeping(
    initialised: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Finalizing, None]:
    """Sources are kept for as long as the default says."""
    async with _shared(initialised, tmp_path_factory.mktemp("keeping"), {}) as finalizing:
        yield finalizing
