"""A query role with one storage element behind it."""

import asyncio
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from tests.services.query.harness import Querying, start_querying
from tests.services.roles import Roles


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_querying(
    initialised: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Querying, None]:
    """For tests that leave it as they found it, but for the files they store."""
    data = tmp_path_factory.mktemp("shared")
    await asyncio.to_thread(shutil.copytree, initialised, data, dirs_exist_ok=True)
    async with ClientSession() as session:
        roles = Roles(data, session)
        yield await start_querying(roles)
        await roles.stop()


@pytest.fixture
async def querying(roles: Roles) -> Querying:
    """For tests that take its parts away."""
    return await start_querying(roles)
