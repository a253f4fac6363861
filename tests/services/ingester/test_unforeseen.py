"""What the ingester does in the background fails as nobody foresaw: it goes on, and so does the server."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from artstore.core.client.breaker import Breaker
from artstore.core.client.roles import RoleClient, open_role_client
from artstore.core.client.tokens import ClientCredentials
from artstore.core.exchange import StoredFile
from artstore.core.spec import UnavailableError
from artstore.services.ingester.directory import ElementDirectory
from artstore.services.ingester.metrics import IngesterMetrics
from artstore.services.ingester.registration import Registrar
from tests.core.stores.entries import ELEMENT, EPOCH, attributes, entry

ADMIN = "http://127.0.0.1:1"


@pytest.fixture
async def broken() -> RoleClient:
    """A client whose pool is closed: what it raises is none of our errors."""

    async def credentials() -> ClientCredentials:
        return ClientCredentials("id", "secret")

    async with open_role_client(token_url=f"{ADMIN}/token", credentials=credentials) as client:
        return client


async def test_the_list_of_elements_is_asked_for_again(broken: RoleClient) -> None:
    directory = ElementDirectory(broken, admin_url=ADMIN, interval=0)
    with capture_logs() as logs:
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(directory.follow())
            for _ in range(2):
                with pytest.raises(UnavailableError, match="RuntimeError"):
                    await directory.elements()

            assert not following.done()
            following.cancel()

    assert [(log["event"], log["reason"]) for log in logs] == [("elements_not_refreshed", "RuntimeError")]


async def test_files_are_registered_later(broken: RoleClient) -> None:
    registry = CollectorRegistry()
    with capture_logs() as logs:
        async with asyncio.TaskGroup() as tasks:
            registrar = Registrar(
                broken, admin_url=ADMIN, breaker=Breaker(), metrics=IngesterMetrics(registry), tasks=tasks
            )
            for number in (1, 2):
                stored = StoredFile(
                    element_id=ELEMENT, epoch=EPOCH, entry=entry(number), attributes=attributes(number)
                )
                await registrar.register(stored)

    failed = registry.get_sample_value("artstore_ingester_registrations_total", {"outcome": "failed"})
    assert failed == 2
    assert {(log["event"], log["reason"]) for log in logs} == {("files_not_registered", "RuntimeError")}
