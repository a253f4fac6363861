"""An issuer and another role on real sockets, and a client of both."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web
from prometheus_client import CollectorRegistry

from artstore.core.client.metrics import ClientMetrics
from artstore.core.client.roles import RoleClient, open_client
from artstore.core.client.tokens import ClientCredentials, TokenSource
from artstore.core.http.bodies import leave_client_waiting
from artstore.core.testing.listening import LoopbackServer
from tests.clock import Clock
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
    app.router.add_post("/store", peer.store, expect_handler=leave_client_waiting)
    app.router.add_route("*", "/{what}", peer.serve)
    async with LoopbackServer(app) as server:
        peer.server = server
        yield peer


@pytest.fixture
def clock() -> Clock:
    """By which the client's tokens expire."""
    return Clock()


@pytest.fixture
async def client(peer: Peer, registry: CollectorRegistry, clock: Clock) -> AsyncIterator[RoleClient]:
    async def credentials() -> ClientCredentials:
        return ClientCredentials("id", "secret")

    def tokens(session: ClientSession, metrics: ClientMetrics) -> TokenSource:
        return TokenSource(
            session,
            token_url=peer.url("/token"),
            credentials=credentials,
            metrics=metrics.tokens,
            clock=clock,
        )

    async with open_client(tokens, token_url=peer.url("/token"), registry=registry, is_role=True) as client:
        yield client
