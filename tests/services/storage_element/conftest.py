"""A storage element for each test, and the issuer it trusts."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from artstore.core.testing import IssuerServer, issuer_server
from artstore.services.storage_element.clock import Clock
from tests.s3.servers import S3Server
from tests.services.storage_element.faulty_storage import Faults
from tests.services.storage_element.harness import (
    MINT,
    ElementClient,
    Options,
    StartElement,
    WrapStorage,
    element_settings,
    running_element,
)

# What fails in one of many points says what it was.
pytest.register_assert_rewrite(
    *(f"tests.services.storage_element.{module}" for module in ("holding", "sweeps", "work"))
)


@pytest.fixture
async def issuer() -> AsyncGenerator[IssuerServer, None]:
    async with issuer_server(MINT) as issuer:
        yield issuer


@pytest.fixture
def start(tmp_path: Path, issuer: IssuerServer) -> StartElement:
    """Starts an element on the directory of the test."""

    def start(
        *,
        wrap: WrapStorage = lambda storage: storage,
        clock: Clock | None = None,
        **sections: Mapping[str, object],
    ) -> AbstractAsyncContextManager[ElementClient]:
        settings = element_settings(tmp_path, jwks_url=issuer.jwks_url, **sections)
        return running_element(settings, wrap=wrap, clock=clock)

    return start


@pytest.fixture
async def element(start: StartElement) -> AsyncGenerator[ElementClient, None]:
    async with start() as element:
        yield element


@pytest.fixture(params=[True, False], ids=["batches", "single objects"])
def faults(request: pytest.FixtureRequest) -> Faults:
    return Faults(has_batches=request.param)


@pytest.fixture
def bucket(swift: S3Server) -> Iterator[str]:
    with swift.bucket() as bucket:
        yield bucket


@pytest.fixture
def in_bucket(swift: S3Server, bucket: str) -> Options:
    """The section ``storage`` of the configuration."""
    return swift.options(
        bucket, type="s3", prefix="se-01", part_size=5 * 1024 * 1024, probe=False, attempts=2
    )
