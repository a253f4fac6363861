"""A cluster of real roles for each test; keys and accounts are made once, as that takes a while."""

import asyncio
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.services.roles import Roles


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a cluster whose admin was started once."""
    data = tmp_path_factory.mktemp("initialised")

    async def start_and_stop() -> None:
        async with ClientSession() as session:
            roles = Roles(data, session)
            await roles.start("admin")
            await roles.stop()

    asyncio.run(start_and_stop())
    return data


@pytest.fixture
async def roles(tmp_path: Path, initialised: Path) -> AsyncGenerator[Roles, None]:
    """No role runs yet, but all know their accounts."""
    await asyncio.to_thread(shutil.copytree, initialised, tmp_path, dirs_exist_ok=True)
    async with ClientSession() as session:
        roles = Roles(tmp_path, session)
        yield roles
        await roles.stop()
