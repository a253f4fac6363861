"""Connections that do nothing, or too slowly, or are too many: each costs its client, not the server."""

import asyncio
import socket
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest

from tests.core.http.serving import served
from tests.services.admin.harness import eventually

HEAD = "GET /health/live HTTP/1.1\r\nHost: a\r\n"
ENDED = 'artstore_http_requests_total{method="GET",role="query",route="/fill",status="200"}'
PATIENCE = 20.0


async def test_a_head_that_drips_is_given_up_in_its_time() -> None:
    async with served(connections={"head_timeout": 0.3}) as server:
        connection = await server.connect()

        async def drip() -> None:
            for number in range(1000):
                connection.send(f"X-Drop-{number}: 1\r\n")
                await asyncio.sleep(0.02)

        connection.send(HEAD)
        dripping = asyncio.create_task(drip())
        answer = await asyncio.wait_for(connection.answer(), PATIENCE)
        dripping.cancel()

        assert answer.status == 408
        assert await connection.is_ended()
        assert await server.metric('artstore_http_connections_refused_total{reason="head"}') == 1


async def test_a_head_may_come_in_pieces() -> None:
    async with served(connections={"head_timeout": 5}) as server:
        connection = await server.connect()
        for request in range(3):
            for piece in (HEAD[:10], HEAD[10:], f"X-Number: {request}\r\n\r\n"):
                connection.send(piece)
                await asyncio.sleep(0.02)

            assert (await connection.answer()).status == 200


@pytest.mark.parametrize("requests_before", [0, 1])
async def test_a_connection_that_asks_nothing_is_ended(requests_before: int) -> None:
    async with served(connections={"idle_timeout": 0.3}) as server:
        connection = await server.connect()
        for _ in range(requests_before):
            connection.send(HEAD + "\r\n")
            await connection.answer()

        assert await asyncio.wait_for(connection.is_ended(), PATIENCE)


@pytest.mark.parametrize("path", ["/note", "/stream"])
async def test_a_body_that_stops_coming_is_refused(path: str) -> None:
    async with served(stall_timeout=0.2) as server:
        request = (
            f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
        )

        answer = await asyncio.wait_for(server.ask(request + '{"te'), PATIENCE)

    assert answer.status == 408


@pytest.mark.parametrize("path", ["/note", "/stream"])
async def test_a_body_that_drips_is_refused(path: str) -> None:
    async with served(stall_timeout=0.3) as server:
        connection = await server.connect()
        connection.send(
            f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        )

        async def drip() -> None:
            for _ in range(1000):
                connection.send("1\r\n \r\n")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        answer = await asyncio.wait_for(connection.answer(), PATIENCE)
        dripping.cancel()

    assert answer.status == 408


async def test_a_client_that_takes_nothing_of_its_answer_is_let_go() -> None:
    async with served(connections={"send_timeout": 0.5}) as server:
        connection = await server.connect()
        connection.send("GET /pour HTTP/1.1\r\nHost: a\r\n\r\n")

        async def is_let_go() -> bool:
            return await server.metric('artstore_http_requests_in_progress{role="query"}') == 1

        await eventually(is_let_go, patience=PATIENCE)


async def test_an_address_has_only_so_many_connections() -> None:
    async with served(connections={"per_address": 2}) as server:
        kept = [await server.connect() for _ in range(2)]
        refused = await server.connect()

        assert await asyncio.wait_for(refused.is_ended(), PATIENCE)
        for connection in kept:
            connection.send(HEAD + "\r\n")
            assert (await connection.answer()).status == 200
        kept[0].send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b'connections_refused_total{reason="address"} 1.0' in (await kept[0].answer()).body


async def test_a_listed_proxy_may_have_more() -> None:
    async with served(connections={"per_address": 1}, trusted_proxies=["127.0.0.0/8"]) as server:
        kept = [await server.connect() for _ in range(5)]
        for connection in kept:
            connection.send(HEAD + "\r\n")
            assert (await connection.answer()).status == 200


async def test_a_process_has_only_so_many_connections() -> None:
    async with served(connections={"total": 1}) as server:
        kept = await server.connect()
        kept.send(HEAD + "\r\n")
        await kept.answer()

        refused = await server.connect()

        assert await asyncio.wait_for(refused.is_ended(), PATIENCE)
        kept.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b'connections_refused_total{reason="total"} 1.0' in (await kept.answer()).body


def test_a_server_that_stops_sends_the_last_bytes_of_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client takes them when the request has ended: the process must not end before that."""
    monkeypatch.setattr("artstore.core.server.ANSWER_TIMEOUT", PATIENCE)
    port, stopping = Future[int](), Future[None]()

    async def serve_one_answer() -> None:
        async with served() as server:
            port.set_result(server.port)

            async def is_ended() -> bool:
                return await server.metric(ENDED) == 1

            await eventually(is_ended, patience=PATIENCE)
            stopping.set_result(None)

    with ThreadPoolExecutor() as threads:
        serving = threads.submit(asyncio.run, serve_one_answer())
        with socket.create_connection(("127.0.0.1", port.result(PATIENCE)), timeout=PATIENCE) as client:
            client.sendall(b"GET /fill HTTP/1.1\r\nHost: a\r\n\r\n")
            stopping.result(PATIENCE)
            wait([serving], timeout=0.3)
            *_, last = iter(lambda: client.recv(1 << 20), b"")
        serving.result(PATIENCE)

    assert last.endswith(b"\r\n0\r\n\r\n")
