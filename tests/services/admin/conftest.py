"""An admin for each test, on its own directory."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.services.admin.harness import AdminClient, ElementServer, Port, admin_settings, running_admin
from tests.services.admin.people import admin_with_people

StartAdmin = Callable[..., AbstractAsyncContextManager[AdminClient]]


@pytest.fixture(scope="session")
def started_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an admin that was started once: making keys and tables takes a while."""
    data = tmp_path_factory.mktemp("started-before")

    async def start_and_stop() -> None:
        async with running_admin(admin_settings(data, Port.free())):
            pass

    asyncio.run(start_and_stop())
    return data


@pytest.fixture
def port() -> Port:
    """Where admin listens, also after a restart."""
    return Port.free()


@pytest.fixture
def start_first(tmp_path: Path, port: Port) -> StartAdmin:
    """Starts an admin on the test's directory, which is empty at first."""

    def start(**sections: Any) -> AbstractAsyncContextManager[AdminClient]:
        return running_admin(admin_settings(tmp_path, port, **sections))

    return start


@pytest.fixture
def start(start_first: StartAdmin, started_before: Path, tmp_path: Path) -> StartAdmin:
    """Starts an admin on the test's directory; sections of the configuration by keyword."""
    shutil.copytree(started_before, tmp_path, dirs_exist_ok=True)
    return start_first


@pytest.fixture
async def admin(start: StartAdmin) -> AsyncGenerator[AdminClient, None]:
    """An admin without storage elements."""
    async with start() as admin:
        yield admin


@pytest.fixture
async def element(tmp_path: Path, port: Port) -> AsyncGenerator[ElementServer, None]:
    """A running storage element that trusts the admin of the test."""
    async with ElementServer(tmp_path, port).running() as element:
        yield element


@pytest.fixture
async def people(people_before: Path, tmp_path: Path) -> AsyncGenerator[AdminClient, None]:
    """An admin in which people may log in."""
    async with admin_with_people(people_before, tmp_path) as admin:
        yield admin
