"""The client with which roles and commands call others: whom it trusts, and what it measures."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from artstore.cli.authority import Authority
from artstore.core.client.roles import RoleClient, open_role_client
from artstore.core.client.tokens import ClientCredentials
from artstore.core.http.health import Liveness
from artstore.core.spec import UnavailableError
from artstore.core.testing.listening import LoopbackServer
from artstore.core.tls.endpoint import TlsEndpoint
from artstore.core.tls.metrics import TlsMetrics
from artstore.core.tls.settings import TlsSettings
from tests.core.tls.harness import LIVE, MUTUAL, TlsServer
from tests.services.roles import sample


class Caller:
    """A role that calls, with numbers of its own."""

    def __init__(self, client: RoleClient, registry: CollectorRegistry, url: str) -> None:
        self._client = client
        self._registry = registry
        self._url = url

    async def ask(self) -> Liveness:
        return await self._client.get(self._url + LIVE, Liveness)

    def metric(self, name: str, **labels: str) -> float:
        return sample(generate_latest(self._registry).decode(), name, **labels)


@asynccontextmanager
async def calling(server: TlsServer, *, token_url: str, **tls: object) -> AsyncGenerator[Caller, None]:
    """As the query role, which trusts the authority and shows its certificate."""
    registry = CollectorRegistry()
    settings = TlsSettings.model_validate({**MUTUAL, **tls})
    endpoint = TlsEndpoint(settings, role="query", base_directory=server.data, metrics=TlsMetrics(registry))

    async def credentials() -> ClientCredentials:
        return ClientCredentials("id", "secret")

    async with (
        endpoint.open(_no_secret),
        open_role_client(token_url=token_url, credentials=credentials, tls=endpoint) as client,
    ):
        yield Caller(client, registry, f"https://127.0.0.1:{server.port}")


async def _no_secret(name: str) -> bytes:
    raise AssertionError(f"nobody asks for {name}")


@pytest.fixture
async def token_url() -> AsyncGenerator[str, None]:
    """Gives any token: what is asked here needs none."""

    async def issue(request: web.Request) -> web.Response:
        return web.json_response({"access_token": "x", "token_type": "Bearer", "expires_in": 1000})

    app = web.Application()
    app.router.add_post("/token", issue)
    async with LoopbackServer(app) as server:
        yield str(server.make_url("/token"))


async def test_a_client_measures_its_handshakes_and_reuses_its_connection(
    server: TlsServer, token_url: str
) -> None:
    await server.start()
    async with calling(server, token_url=token_url) as caller:
        for _ in range(3):
            assert (await caller.ask()).status == "ok"

        assert caller.metric("tls_handshake_total", status="success", error_type="none") == 1
        assert caller.metric("tls_handshake_duration_seconds_count", protocol="TLSv1.3") == 1
        assert caller.metric("tls_protocol_usage_total", protocol="TLSv1.3") == 1
        assert caller.metric("tls_cipher_suite_usage_total", cipher_suite="TLS_AES_256_GCM_SHA384") == 1
        assert caller.metric("tls_certificate_validation_total", result="valid") == 1
        assert caller.metric("tls_connections_active", protocol="TLSv1.3") == 1
        assert caller.metric("tls_connection_reuse_total", reused="true") == 2
        assert 360 < caller.metric("tls_certificate_expiry_days", subject="query-client") < 365


async def test_a_client_refuses_a_server_whose_certificate_was_revoked(
    server: TlsServer, token_url: str
) -> None:
    await server.start(crl_file=None)
    await asyncio.to_thread(Authority(server.certs).revoke, "ingester")

    async with calling(server, token_url=token_url) as caller:
        with pytest.raises(UnavailableError, match="certificate revoked"):
            await caller.ask()

        assert caller.metric("tls_certificate_validation_total", result="revoked") > 0
        assert caller.metric("tls_handshake_total", status="failure", error_type="cert_revoked") > 0


async def test_a_client_refuses_a_server_of_another_name(server: TlsServer, token_url: str) -> None:
    authority = Authority(server.certs)
    for suffix in ("crt", "key"):
        await asyncio.to_thread((server.certs / f"ingester.{suffix}").unlink)
    await asyncio.to_thread(authority.issue, "ingester", "server", hosts=["elsewhere.example"])
    await server.start()

    async with calling(server, token_url=token_url) as caller:
        with pytest.raises(UnavailableError, match="IP address mismatch"):
            await caller.ask()

        assert caller.metric("tls_certificate_validation_total", result="invalid") > 0


async def test_a_client_refuses_a_server_of_an_authority_it_does_not_know(
    server: TlsServer, token_url: str
) -> None:
    other = Authority(server.data / "other")
    await asyncio.to_thread(other.create)
    await server.start()

    async with calling(
        server, token_url=token_url, ca_cert_file="other/ca.crt", crl_file="other/crl.pem"
    ) as caller:
        with pytest.raises(UnavailableError, match="self-signed certificate in certificate chain"):
            await caller.ask()

        assert caller.metric("tls_certificate_validation_total", result="untrusted") > 0


async def test_a_client_that_is_refused_is_told_why(server: TlsServer, token_url: str) -> None:
    await asyncio.to_thread(Authority(server.certs).revoke, "query-client")
    await server.start()

    async with calling(server, token_url=token_url) as caller:
        with pytest.raises(UnavailableError, match="alert certificate revoked"):
            await caller.ask()
