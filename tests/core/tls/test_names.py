"""Whose names may use which routes, and whose word about names is believed."""

import asyncio
from typing import Any
from urllib.parse import quote

import pytest
from structlog.testing import capture_logs

from artstore.cli.authority import Authority
from tests.core.tls.certificates import DAY, header_of, write_certificate
from tests.core.tls.harness import LIVE, TlsServer

UPLOADS = "/api/v1/files"


def _rules(mode: str, *names: str, path: str = "/health/.*") -> dict[str, Any]:
    return {"ingester": [{"path": path, "names": names, "mode": mode}]}


async def test_a_strict_rule_refuses_other_names_on_its_routes_only(server: TlsServer) -> None:
    await server.start(client_names=_rules("strict", "query-client", "admin-client"))

    with capture_logs() as lines:
        answers = {
            (client, path): (await server.get(path, client=client)).status
            for client in ("query-client", "element-client")
            for path in (LIVE, "/metrics")
        }

    assert answers == {
        ("query-client", LIVE): 200,
        ("query-client", "/metrics"): 200,
        ("element-client", LIVE): 403,
        ("element-client", "/metrics"): 200,
    }
    [refused] = [line for line in lines if line["event"] == "client_certificate_refused"]
    assert (refused["names"], refused["path"]) == (["element-client"], LIVE)


async def test_a_rule_that_warns_lets_them_through_and_tells(server: TlsServer) -> None:
    await server.start(client_names=_rules("warn", "query-client"))

    with capture_logs() as lines:
        answer = await server.get(client="element-client")

    assert answer.status == 200
    [told] = [line for line in lines if line["event"] == "client_certificate_tolerated"]
    assert told["names"] == ["element-client"]


async def test_without_a_certificate_a_strict_rule_is_not_kept(server: TlsServer) -> None:
    await server.start(verify_mode="optional", client_names=_rules("strict", "query-client"))

    assert (await server.get(client=None)).status == 403
    assert (await server.get("/metrics", client=None)).status == 200


async def test_a_rule_holds_whatever_the_path_is_spelt_like(server: TlsServer) -> None:
    await server.start(client_names=_rules("strict", "query-client"))

    for path in ("/health/live?x=1", "/health/%6cive", "/metrics/../health/live"):
        assert (await server.get(path, client="element-client")).status == 403


async def test_all_rules_of_a_route_must_be_kept(server: TlsServer) -> None:
    rules = [
        {"path": "/health/.*", "names": ["query-client", "admin-client"]},
        {"path": "/health/live", "names": ["admin-client"]},
    ]
    await server.start(client_names={"ingester": rules})

    assert (await server.get(client="query-client")).status == 403
    assert (await server.get(client="admin-client")).status == 200


@pytest.mark.parametrize("header", ["Client-Cert", "X-Client-Cert", "Client-Cert-Chain"])
async def test_a_certificate_in_a_header_is_refused_from_anybody_but_a_listed_proxy(
    server: TlsServer, header: str
) -> None:
    await server.start(trusted_proxies=["192.0.2.0/24"])
    told = await asyncio.to_thread(header_of, server.certs / "admin-client.crt")

    answer = await server.get(headers={header: told})

    assert answer.status == 400
    assert "trusted_proxies" in answer.json()["detail"]


async def test_a_listed_proxy_is_believed(server: TlsServer) -> None:
    await server.start(trusted_proxies=["127.0.0.0/8"], client_names=_rules("strict", "admin-client"))
    told = await asyncio.to_thread(header_of, server.certs / "admin-client.crt")
    escaped = await asyncio.to_thread(_escaped, server, "admin-client")

    assert (await server.get(headers={"Client-Cert": told})).status == 200
    assert (await server.get(headers={"X-Client-Cert": escaped})).status == 200


async def test_the_certificate_of_the_proxy_itself_says_nothing_of_its_clients(server: TlsServer) -> None:
    await server.start(trusted_proxies=["127.0.0.0/8"], client_names=_rules("strict", "query-client"))

    assert (await server.get(client="query-client")).status == 403
    assert (await server.get(client="query-client", headers={"X-Client-Cert": ""})).status == 403


async def test_what_a_proxy_tells_must_be_one_good_certificate(server: TlsServer) -> None:
    other = Authority(server.data / "other")
    await asyncio.to_thread(other.create)
    await asyncio.to_thread(other.issue, "query-client", "client")
    await asyncio.to_thread(
        write_certificate, server.certs, "late-client", valid_from=-2 * DAY, valid_until=-DAY
    )
    await asyncio.to_thread(Authority(server.certs).revoke, "admin-client")
    told = {
        "foreign": header_of(server.data / "other" / "query-client.crt"),
        "late": header_of(server.certs / "late-client.crt"),
        "revoked": header_of(server.certs / "admin-client.crt"),
        "good": header_of(server.certs / "query-client.crt"),
    }
    await server.start(trusted_proxies=["127.0.0.1"], client_names=_rules("strict", "query-client"))

    async def status(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await server.get(client="element-client", headers=named)).status

    assert await status(Client_Cert=told["good"]) == 200
    assert await status(Client_Cert=told["foreign"]) == 403
    assert await status(Client_Cert=told["late"]) == 403
    assert await status(Client_Cert=told["revoked"]) == 403
    assert await status(Client_Cert=":bm8gY2VydGlmaWNhdGU=:") == 400
    assert await status(Client_Cert="no certificate") == 400
    assert await status(Client_Cert=":?:") == 400
    assert await status(Client_Cert=told["good"], X_Client_Cert=told["good"]) == 400


def _escaped(server: TlsServer, name: str) -> str:
    """As nginx's ``$ssl_client_escaped_cert``."""
    return quote((server.certs / f"{name}.crt").read_text())
