"""The shipped configuration of nginx and HAProxy does what it says, in front of a cluster with mutual TLS."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster, run_artstore
from tests.core.tls.certificates import header_of
from tests.deploy.proxies import Proxy, running_proxy

pytestmark = pytest.mark.full

# What docs/how-to/put-a-proxy-in-front.md has an operator add: whom to believe, and a rule for applications.
SETTINGS = {
    "ARTSTORE__TLS__TRUSTED_PROXIES": '["127.0.0.2"]',
    "ARTSTORE__TLS__CLIENT_NAMES__INGESTER": '[{path = "/api/v1/files", names = ["billing"]}]',
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that believes its proxy, and takes files from one application."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster") / "data", tls=True)
    try:
        cluster.start(environment=SETTINGS)
        for name in ("billing", "other"):
            run_artstore("certs", "issue", name, "--data", str(cluster.data))
        yield cluster
    finally:
        cluster.kill()


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def proxy(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Proxy]:
    with running_proxy(request.param, cluster, tmp_path_factory.mktemp("proxy") / "etc") as proxy:
        yield proxy
        for name in ("server", "proxy-client"):
            for path in (cluster.data / "certs").glob(f"{name}.*"):
                path.unlink()


def _put(proxy: Proxy, cluster: Cluster, *arguments: str, client: str | None, body: str = "x") -> str:
    return proxy.curl(
        "ingester",
        "/api/v1/files",
        *("-H", f"Authorization: Bearer {cluster.token()}", "--data-binary", body),
        *("-H", 'Content-Disposition: attachment; filename="a.txt"', *arguments),
        client=client,
    )


def test_files_go_through_in_both_directions_over_http_2(
    proxy: Proxy, cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(bytes(range(256)) * 40_000)

    stored, _, status = _put(proxy, cluster, client="billing", body=f"@{tmp_path / 'large'}").rpartition("\n")
    got = proxy.curl(
        "query",
        f"/api/v1/files/{json.loads(stored)['file_id']}/download",
        *("-H", f"Authorization: Bearer {cluster.token()}", "-o", str(tmp_path / "got")),
        client="billing",
    )

    assert status == "201 HTTP/2"
    assert got.endswith("200 HTTP/2")
    assert (tmp_path / "got").read_bytes() == (tmp_path / "large").read_bytes()


def test_the_certificate_of_the_application_decides_not_that_of_the_proxy(
    proxy: Proxy, cluster: Cluster
) -> None:
    assert _put(proxy, cluster, client="billing").endswith("201 HTTP/2")
    assert _put(proxy, cluster, client="other").endswith("403 HTTP/2")
    assert _put(proxy, cluster, client=None).endswith("403 HTTP/2")
    assert proxy.curl("ingester", "/health/live", client=None).endswith("200 HTTP/2")


@pytest.mark.parametrize("header", ["Client-Cert", "X-Client-Cert", "Client-Cert-Chain"])
def test_a_certificate_that_a_client_writes_into_a_header_is_nothing(
    proxy: Proxy, cluster: Cluster, header: str
) -> None:
    written = f"{header}: {header_of(cluster.data / 'certs' / 'billing.crt')}"

    assert _put(proxy, cluster, "-H", written, client=None).endswith("403 HTTP/2")
    assert _put(proxy, cluster, "-H", written, client="other").endswith("403 HTTP/2")


def test_only_tls_1_3_is_spoken(proxy: Proxy) -> None:
    assert "New, TLSv1.3" in proxy.openssl("-tls1_3")
    assert "New, TLSv1.2" not in proxy.openssl("-tls1_2")


def test_that_its_certificate_is_good_is_stapled(proxy: Proxy) -> None:
    deadline = time.monotonic() + 30
    # nginx fetches it when it is first asked for, and has none for that one.
    while "OCSP Response Status: successful" not in (told := proxy.openssl("-status")):
        assert time.monotonic() < deadline, told
        time.sleep(0.2)

    assert "Cert Status: good" in told


def test_what_is_not_for_applications_is_not_served(proxy: Proxy) -> None:
    told = proxy.curl("query", "/health/live", "-H", "Host: element.archive.example", client="billing")

    assert told.endswith("404 HTTP/2")
