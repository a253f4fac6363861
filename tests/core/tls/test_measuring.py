"""The numbers of TLS, as two roles that talk to each other feed them."""

import asyncio
import ssl

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from artstore.cli.authority import Authority
from artstore.core.tls import endpoint
from artstore.core.tls.contexts import client_context
from artstore.core.tls.material import Material
from artstore.core.tls.metrics import TlsMetrics
from artstore.core.tls.settings import TlsSettings
from tests.core.tls.harness import LIVE, TlsServer
from tests.services.admin.harness import eventually

SUITE = {"protocol": "TLSv1.3", "cipher_suite": "TLS_AES_256_GCM_SHA384"}


async def test_a_server_measures_its_handshakes(server: TlsServer) -> None:
    await server.start()
    async with server.session() as session:
        for _ in range(3):
            async with session.get(LIVE) as response:
                assert response.status == 200
        async with session.get("/metrics") as response:
            text = await response.text()

    assert 'tls_handshake_total{error_type="none",status="success"} 1.0' in text
    assert 'tls_certificate_validation_total{result="valid"} 1.0' in text
    assert 'tls_protocol_usage_total{protocol="TLSv1.3"} 1.0' in text
    assert 'tls_connections_active{protocol="TLSv1.3"} 1.0' in text
    assert 'tls_connection_reuse_total{reused="false"} 1.0' in text
    assert 'tls_connection_reuse_total{reused="true"} 3.0' in text
    assert 'cipher_suite="TLS_AES_256_GCM_SHA384",protocol="TLSv1.3"} 1.0' in text
    assert 0 < await server.metric("tls_handshake_duration_seconds_sum", **SUITE) < 10
    for kind, subject, days in (
        ("ca", "ArtStore CA", 3650),
        ("server", "ingester", 365),
        ("client", "ingester-client", 365),
    ):
        left = await server.metric("tls_certificate_expiry_days", cert_type=kind, subject=subject)
        assert days - 2 < left < days


async def test_the_term_of_certificates_is_looked_at_again_and_a_short_one_is_told(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "EXPIRY_CHECK_INTERVAL", 0.05)
    await asyncio.to_thread(Authority(server.certs).renew, "ingester", days=1)

    with capture_logs() as lines:
        await server.start()
        before = await _days_left(server)

        async def has_fallen() -> bool:
            return await _days_left(server) < before

        assert await eventually(has_fallen)

    warned = [line for line in lines if line["event"] == "tls_certificate_expires_soon"]
    assert {(line["kind"], line["subject"]) for line in warned} == {("server", "ingester")}
    assert len(warned) > 1


async def _days_left(server: TlsServer) -> float:
    return await server.metric("tls_certificate_expiry_days", cert_type="server", subject="ingester")


async def test_connections_that_are_over_are_no_longer_counted(server: TlsServer) -> None:
    await server.start()
    async with server.session() as first, server.session() as second:
        for session in (first, second):
            async with session.get(LIVE) as response:
                await response.read()
        assert await server.metric("tls_connections_active", protocol="TLSv1.3") == 3

    async def is_alone() -> bool:
        return await server.metric("tls_connections_active", protocol="TLSv1.3") == 1

    assert await eventually(is_alone)


async def test_a_connection_that_ends_within_its_handshake_is_counted(server: TlsServer) -> None:
    await server.start()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"\x16\x03\x01")
    writer.close()
    await writer.wait_closed()

    async def is_counted() -> bool:
        return await server.metric("tls_handshake_total", status="failure", error_type="aborted") == 1

    assert await eventually(is_counted)


async def test_a_connection_may_be_collected_while_its_counter_is_being_changed() -> None:
    registry = CollectorRegistry()
    metrics = TlsMetrics(registry)
    context = await asyncio.to_thread(
        client_context, TlsSettings(), Material(None, None, None, None), metrics
    )
    connections = [context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")]
    with pytest.raises(ssl.SSLWantReadError):
        connections[0].do_handshake()

    class Collecting(float):
        """Is added while the counter's lock is held, as the garbage collector may run then."""

        def __radd__(self, counted: float) -> float:
            connections.clear()
            return counted + 1

    aborted = {"status": "failure", "error_type": "aborted"}
    metrics.handshakes.labels(*aborted.values()).inc(Collecting(1))

    assert registry.get_sample_value("tls_handshake_total", aborted) == 2
