"""Who gets a connection, tried from outside with OpenSSL's own client."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from artstore.cli.authority import Authority
from tests.core.tls.certificates import DAY, write_certificate
from tests.core.tls.harness import TlsServer

REQUEST = "GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
TLS12_SUITES = ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA256", "AES256-GCM-SHA384")


async def _speaks(server: TlsServer, *arguments: str, client: str | None = "query-client") -> bool:
    """Whether a request over such a connection is answered."""
    # Not quiet: what it prints tells why not.
    printed = await server.openssl("-ign_eof", *arguments, client=client, sent=REQUEST)
    return "HTTP/1.1 200 OK" in printed


async def test_tls_1_3_is_spoken_and_nothing_older(server: TlsServer) -> None:
    await server.start()

    assert await _speaks(server, "-tls1_3")
    for version in ("-tls1_2", "-tls1_1", "-tls1"):
        assert not await _speaks(server, version, "-cipher", "ALL:@SECLEVEL=0")


async def test_tls_1_2_is_spoken_where_that_is_configured_with_good_suites_only(server: TlsServer) -> None:
    with capture_logs() as lines:
        await server.start(protocol_version="1.2")

    assert "tls_1_2_allowed" in [line["event"] for line in lines]
    good = [suite for suite in TLS12_SUITES if await _speaks(server, "-tls1_2", "-cipher", suite)]

    assert good == ["ECDHE-ECDSA-AES256-GCM-SHA384"]
    assert await _speaks(server, "-tls1_3")


@pytest.mark.parametrize("name", ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"])
async def test_of_tls_1_3_only_the_suites_that_were_chosen(server: TlsServer, name: str) -> None:
    with capture_logs() as lines:
        await server.start(ciphers=[name])
    warns = "tls_preferred_suite_refused" in [line["event"] for line in lines]
    suites = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256")

    spoken = [suite for suite in suites if await _speaks(server, "-ciphersuites", suite)]

    assert spoken == [name]
    # What OpenSSL would choose cannot be taken from it, only refused: whoever starts it must know.
    assert warns == (name != suites[0])


async def test_without_a_certificate_there_is_no_connection(server: TlsServer) -> None:
    await server.start()

    assert not await _speaks(server, client=None)
    assert await server.metric("tls_handshake_total", status="failure", error_type="cert_missing") == 1
    assert "alert certificate required" in await server.openssl("-ign_eof", client=None, sent=REQUEST)


async def test_without_a_certificate_there_is_one_where_it_is_optional(server: TlsServer) -> None:
    await server.start(verify_mode="optional")

    assert await _speaks(server, client=None)
    assert await _speaks(server)


async def test_a_certificate_of_another_authority_is_refused(server: TlsServer) -> None:
    other = Authority(server.data / "other")
    await asyncio.to_thread(other.create)
    await asyncio.to_thread(other.issue, "query-client", "client")
    await server.start(verify_mode="optional")

    assert not await _speaks(server, client="../other/query-client")
    assert await server.metric("tls_certificate_validation_total", result="untrusted") == 1


async def test_a_certificate_that_has_expired_is_refused(server: TlsServer) -> None:
    await asyncio.to_thread(
        write_certificate, server.certs, "late-client", valid_from=-2 * DAY, valid_until=-DAY
    )
    await server.start()

    assert "alert certificate expired" in await server.openssl("-ign_eof", client="late-client", sent=REQUEST)
    assert await server.metric("tls_certificate_validation_total", result="expired") == 1


async def test_the_certificate_of_a_server_is_none_of_a_client(server: TlsServer) -> None:
    await server.start()

    assert not await _speaks(server, client="query")
    assert await server.metric("tls_certificate_validation_total", result="invalid") == 1


async def test_a_revoked_certificate_is_refused(server: TlsServer) -> None:
    await asyncio.to_thread(Authority(server.certs).revoke, "query-client")
    await server.start()

    assert "alert certificate revoked" in await server.openssl("-ign_eof", sent=REQUEST)
    assert await _speaks(server, client="element-client")
    assert await server.metric("tls_certificate_validation_total", result="revoked") == 1


async def test_pem_may_be_in_the_settings_and_keys_in_the_secrets(server: TlsServer) -> None:
    pem = {
        name: await asyncio.to_thread((server.certs / name).read_text) for name in ("ingester.crt", "ca.crt")
    }
    (server.data / "secrets").mkdir(mode=0o700)
    await asyncio.to_thread((server.certs / "ingester.key").rename, server.data / "secrets" / "tls-key")

    await server.start(
        cert_file=pem["ingester.crt"], ca_cert_file=pem["ca.crt"], key_file={"secret": "tls-key"}
    )

    assert await _speaks(server)


async def test_a_session_is_resumed_without_showing_certificates_again(
    server: TlsServer, tmp_path: Path
) -> None:
    await server.start()
    session = str(tmp_path / "session")

    first = await server.openssl("-ign_eof", "-sess_out", session, sent=REQUEST)
    second = await server.openssl("-ign_eof", "-sess_in", session, sent=REQUEST)

    assert "New, TLSv1.3" in first
    assert "Reused, TLSv1.3" in second
    assert "HTTP/1.1 200 OK" in second


async def test_plain_http_is_not_answered(server: TlsServer) -> None:
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)

    writer.write(REQUEST.encode())
    answer = await reader.read()
    writer.close()

    assert b"HTTP" not in answer
