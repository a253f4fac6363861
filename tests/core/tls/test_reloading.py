"""Certificates and lists that change are taken up, and nobody's connection breaks."""

import asyncio
import os
import re
import shutil
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession, TCPConnector
from structlog.testing import capture_logs

from artstore.cli.authority import Authority
from artstore.cli.certs import make_certificates
from artstore.core.config import Settings
from artstore.core.spec import ConfigurationError
from artstore.core.tls.material import MaterialReader
from artstore.core.tls.settings import TlsSettings
from tests.core.tls.harness import LIVE, MUTUAL, TlsServer
from tests.services.admin.harness import eventually


async def _serial_number(server: TlsServer) -> str:
    """Of the certificate that the server shows to a new connection."""
    context = await asyncio.to_thread(server.client_context)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    shown = writer.get_extra_info("peercert")["serialNumber"]
    writer.close()
    await writer.wait_closed()
    return str(shown)


async def _ask_over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The status line of one more answer over one connection."""
    writer.write(f"GET {LIVE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(re.search(rb"Content-Length: (\d+)", head)[1]))  # type: ignore[index]
    return head.splitlines()[0]


async def _ask(session: ClientSession) -> int:
    async with session.get(LIVE) as response:
        await response.read()
        return response.status


async def test_a_renewed_certificate_is_shown_to_new_connections_and_breaks_no_old_one(
    server: TlsServer,
) -> None:
    await server.start()
    before = await _serial_number(server)
    statuses: list[int] = []
    has_changed = asyncio.Event()

    async def load(*, reconnect: bool) -> None:
        while not has_changed.is_set():
            async with server.session() as session:
                statuses.append(await _ask(session))
                while not (reconnect or has_changed.is_set()):
                    statuses.append(await _ask(session))

    kept = await asyncio.open_connection(
        "127.0.0.1", server.port, ssl=await asyncio.to_thread(server.client_context)
    )
    answers = [await _ask_over(*kept)]
    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(load(reconnect=number % 2 == 0))
        await asyncio.to_thread(Authority(server.certs).renew, "ingester")
        await eventually(lambda: _differs(server, before))
        enough = len(statuses) + 50
        await eventually(lambda: _grows_to(statuses, enough))
        has_changed.set()
    answers.append(await _ask_over(*kept))
    kept[1].close()

    assert answers == [b"HTTP/1.1 200 OK"] * 2
    assert set(statuses) == {200}


async def _grows_to(statuses: list[int], length: int) -> bool:
    return len(statuses) >= length


async def _differs(server: TlsServer, before: str) -> bool:
    return await _serial_number(server) != before


async def test_what_cannot_be_used_is_told_and_what_was_there_serves_on(server: TlsServer) -> None:
    await server.start()
    before = await _serial_number(server)

    with capture_logs() as lines:
        await asyncio.to_thread((server.certs / "ingester.crt").write_text, "no PEM")
        await eventually(lambda: _told(lines, "tls_reload_failed"))

    assert await _serial_number(server) == before
    assert "has no readable certificate" in next(
        line["reason"] for line in lines if line["event"] == "tls_reload_failed"
    )


async def test_what_cannot_be_used_is_told_when_it_begins_when_it_is_another_and_when_it_ends(
    server: TlsServer,
) -> None:
    await server.start()
    certificate = server.certs / "ingester.crt"
    good = certificate.read_bytes()
    with capture_logs() as lines:

        async def told(number: int) -> bool:
            return len(_of_files(lines)) == number

        await asyncio.to_thread(certificate.write_text, "no PEM")
        await eventually(lambda: told(1))
        await asyncio.sleep(5 * server.reload_interval)  # in which it is not told again
        await asyncio.to_thread(certificate.unlink)
        await eventually(lambda: told(2))
        await asyncio.to_thread(certificate.write_bytes, good)
        await eventually(lambda: told(3))

    assert [line["event"] for line in _of_files(lines)] == [
        "tls_reload_failed",
        "tls_reload_failed",
        "tls_files_restored",
    ]


def _of_files(lines: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    return [line for line in lines if str(line["event"]).startswith("tls_")]


async def _told(lines: Sequence[Mapping[str, object]], event: str) -> bool:
    return any(line["event"] == event for line in lines)


async def test_a_client_that_is_revoked_loses_connections_that_are_open_and_gets_no_new_ones(
    server: TlsServer,
) -> None:
    await server.start()
    async with server.session() as session:
        assert await _ask(session) == 200

        await asyncio.to_thread(Authority(server.certs).revoke, "query-client")

        await eventually(lambda: _answers(session, 403))
    assert not await _gets_in(server)


def test_who_is_revoked_is_learned_by_a_role_whose_certificate_has_expired(
    tmp_path: Path, issued: Path
) -> None:
    certs = tmp_path / "certs"
    shutil.copytree(issued, certs)
    reader = MaterialReader(TlsSettings.model_validate(MUTUAL), role="ingester", base_directory=tmp_path)
    known = reader.read({})
    in_two_years = datetime.now(UTC) + timedelta(days=730)

    Authority(certs).revoke("query-client")
    material = reader.read({}, known=known, now=in_two_years)

    assert material.revocations == (certs / "crl.pem").read_bytes() != known.revocations
    with pytest.raises(ConfigurationError, match="ingester has expired"):
        reader.read({}, now=in_two_years)


async def test_clients_of_an_authority_that_goes_lose_connections_that_are_open(server: TlsServer) -> None:
    await asyncio.to_thread(Authority(server.certs / "other").create)
    await asyncio.to_thread(_append, server.certs / "other", server.certs, ["ca.crt"])
    await server.start(crl_file=None)
    async with server.session() as session:
        assert await _ask(session) == 200

        await asyncio.to_thread(_copy, server.certs / "other", server.certs, ["ca.crt"])

        await eventually(lambda: _answers(session, 403))


async def _answers(session: ClientSession, status: int) -> bool:
    return await _ask(session) == status


async def _gets_in(server: TlsServer) -> bool:
    try:
        return (await server.get()).status == 200
    except ClientError:
        return False


async def test_what_is_no_file_for_a_while_does_not_end_the_following(server: TlsServer) -> None:
    await server.start()

    await asyncio.to_thread(_put_pipe, server.certs / "crl.pem")
    with capture_logs() as lines:
        await eventually(lambda: _told(lines, "tls_reload_failed"))
    await asyncio.to_thread((server.certs / "kept").replace, server.certs / "crl.pem")
    await asyncio.to_thread(Authority(server.certs).revoke, "query-client")

    assert await eventually(lambda: _is_shut_out(server))


def _put_pipe(path: Path) -> None:
    path.rename(path.with_name("kept"))
    os.mkfifo(path)


@pytest.mark.slow
async def test_an_authority_is_replaced_without_refusing_anybody(server: TlsServer) -> None:
    """As the guide has it: trust both, give everybody new certificates, trust the new one alone."""
    await server.start()
    old, new = server.certs, server.data / "next"
    await asyncio.to_thread(make_certificates, new, Settings())
    steps = [
        lambda: _append(new / "certs", old, ["ca.crt", "crl.pem"]),
        lambda: _copy(new / "certs", old, ["ingester.key", "ingester.crt"]),
        lambda: _copy(new / "certs", old, ["query-client.key", "query-client.crt"]),
        lambda: _copy(new / "certs", old, ["ca.crt", "crl.pem"]),
    ]
    statuses: list[int] = []
    leaver = await asyncio.to_thread(server.client_context, "admin-client")

    for step in steps:
        await asyncio.to_thread(step)
        enough = len(statuses) + 20
        while len(statuses) < enough:
            statuses.append((await server.get()).status)
            await asyncio.sleep(0.02)

    assert set(statuses) == {200}
    assert await eventually(lambda: _is_unknown(server, leaver))


async def _is_unknown(server: TlsServer, context: ssl.SSLContext) -> bool:
    try:
        async with ClientSession(connector=TCPConnector(ssl=context)) as session:
            await session.get(f"https://127.0.0.1:{server.port}{LIVE}")
    except ClientError:
        return True
    return False


def _append(source: Path, target: Path, names: Sequence[str]) -> None:
    for name in names:
        with (target / name).open("ab") as file:
            file.write((source / name).read_bytes())


def _copy(source: Path, target: Path, names: Sequence[str]) -> None:
    for name in names:
        (target / name).write_bytes((source / name).read_bytes())


async def test_a_session_from_before_a_revocation_is_not_resumed(server: TlsServer) -> None:
    await server.start()
    session = str(server.data / "session")
    request = "GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    await server.openssl("-ign_eof", "-sess_out", session, sent=request)

    await asyncio.to_thread(Authority(server.certs).revoke, "query-client")
    await eventually(lambda: _is_shut_out(server))
    resumed = await server.openssl("-ign_eof", "-sess_in", session, sent=request)

    assert "200 OK" not in resumed


async def _is_shut_out(server: TlsServer) -> bool:
    return not await _gets_in(server)


async def test_a_key_in_the_secrets_chain_is_looked_up_again(server: TlsServer) -> None:
    (server.data / "secrets").mkdir(mode=0o700)
    kept = server.data / "secrets" / "tls-key"
    await asyncio.to_thread((server.certs / "ingester.key").rename, kept)
    await server.start(key_file={"secret": "tls-key"})
    before = await _serial_number(server)

    await asyncio.to_thread(Authority(server.certs).renew, "ingester")
    await asyncio.to_thread((server.certs / "ingester.key").replace, kept)

    assert await eventually(lambda: _differs(server, before))
