"""An issuer and another role on real sockets, and a client of both."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from artstore.core.client.roles import RoleClient, open_role_client
from artstore.core.client.tokens import ClientCredentials
from tests.core.client.peer import Peer


@pytest.fixture
def registry() -> CollectorRegistry:
    """Where the client's numbers are."""
    return CollectorRegistry()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    app = web.Application()
    app.router.add_post("/token", peer.issue)
    app.router.add_route("*", "/{what}", peer.serve)
    async with TestServer(app) as server:
        peer.server = server
        yield peer


@pytest.fixture
async def client(peer: Peer, registry: CollectorRegistry) -> AsyncIterator[RoleClient]:
    async def credentials() -> ClientCredentials:
        return ClientCredentials("id", "secret")

    async with open_role_client(
        token_url=peer.url("/token"), credentials=credentials, registry=registry
    ) as client:
        yield client
