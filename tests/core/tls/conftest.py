"""A role behind TLS for each test; the authority and its certificates are made once."""

import asyncio
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from artstore.cli.certs import make_certificates
from artstore.core.config import Settings
from tests.core.tls.harness import TlsServer


@pytest.fixture(scope="session")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with certificates for every role."""
    data = tmp_path_factory.mktemp("issued")
    make_certificates(data, Settings())
    return data / "certs"


@pytest.fixture
async def server(tmp_path: Path, issued: Path) -> AsyncGenerator[TlsServer, None]:
    """It has its certificates, and is not started."""
    await asyncio.to_thread(shutil.copytree, issued, tmp_path / "certs")
    server = TlsServer(tmp_path)
    yield server
    await server.stop()
