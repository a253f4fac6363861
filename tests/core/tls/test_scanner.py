"""What an independent scanner finds (sslyze). Its environment is its own: it wants old libraries."""

import asyncio
import json
from asyncio.subprocess import DEVNULL
from pathlib import Path
from typing import Any, Final

import pytest

from tests.core.tls.harness import TlsServer
from tests.environments import python_with

SSLYZE: Final = "6.3.1"
OLD_PROTOCOLS: Final = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1")


@pytest.fixture(scope="session")
def sslyze() -> Path:
    """The Python that has it."""
    return python_with("sslyze", SSLYZE)


async def _scan(sslyze: Path, server: TlsServer, *arguments: str) -> dict[str, Any]:
    """What it reports of one server."""
    report = server.data / "report.json"
    process = await asyncio.create_subprocess_exec(
        *(str(sslyze), "-m", "sslyze", f"--json_out={report}", "--quiet", "--mozilla_config=disable"),
        *("--tlsv1_3", *arguments, f"127.0.0.1:{server.port}"),
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    await asyncio.wait_for(process.wait(), 60)
    [scanned] = json.loads(await asyncio.to_thread(report.read_text))["server_scan_results"]
    assert scanned["connectivity_status"] == "COMPLETED", scanned
    found: dict[str, Any] = scanned
    return found


def _as_client(server: TlsServer) -> list[str]:
    """With a certificate, and for everything that it may find wrong."""
    return [
        *(f"--cert={server.certs}/query-client.crt", f"--key={server.certs}/query-client.key"),
        *("--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--early_data"),
        *("--heartbleed", "--robot", "--compression", "--openssl_ccs", "--resum"),
    ]


def _accepted(found: dict[str, Any], protocol: str) -> set[str]:
    suites = found[f"{protocol}_cipher_suites"]["result"]["accepted_cipher_suites"]
    return {suite["cipher_suite"]["name"] for suite in suites}


async def test_a_scanner_finds_tls_1_3_with_authenticated_suites_and_no_hole(
    server: TlsServer, sslyze: Path
) -> None:
    await server.start()

    found = (await _scan(sslyze, server, *_as_client(server)))["scan_result"]

    assert _accepted(found, "tls_1_3") == {
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_AES_128_GCM_SHA256",
    }
    assert not any(_accepted(found, protocol) for protocol in (*OLD_PROTOCOLS, "tls_1_2"))
    assert not found["tls_1_3_early_data"]["result"]["supports_early_data"]
    assert not found["heartbleed"]["result"]["is_vulnerable_to_heartbleed"]
    assert not found["openssl_ccs_injection"]["result"]["is_vulnerable_to_ccs_injection"]
    assert not found["tls_compression"]["result"]["supports_compression"]


async def test_a_scanner_finds_forward_secret_authenticated_suites_where_tls_1_2_is_allowed(
    server: TlsServer, sslyze: Path
) -> None:
    await server.start(protocol_version="1.2")

    found = (await _scan(sslyze, server, *_as_client(server)))["scan_result"]

    assert _accepted(found, "tls_1_2") == {
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    }
    assert not any(_accepted(found, protocol) for protocol in OLD_PROTOCOLS)
    assert found["session_resumption"]["result"]["tls_ticket_resumption_result"] == "FULLY_SUPPORTED"


async def test_a_scanner_sees_that_a_certificate_is_asked_for(server: TlsServer, sslyze: Path) -> None:
    await server.start()

    scanned = await _scan(sslyze, server)

    assert scanned["connectivity_result"]["client_auth_requirement"] == "REQUIRED"
