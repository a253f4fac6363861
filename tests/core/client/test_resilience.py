"""What a client does about roles that do not answer: repeats, leaves alone, gives up in time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from contextvars import copy_context

import pytest
from prometheus_client import CollectorRegistry

from artstore.core.client.breaker import TRIALS
from artstore.core.client.deadlines import DEADLINE_HEADER, note_deadline, undated
from artstore.core.client.roles import RoleClient, open_role_client
from artstore.core.client.tokens import ClientCredentials
from artstore.core.spec import UnavailableError
from tests.core.client.peer import Peer, Thing
from tests.services.admin.harness import eventually

LEFT_ALONE = "artstore_client_targets_left_alone"


@asynccontextmanager
async def breaking(times: int) -> AsyncGenerator[tuple[str, list[str]], None]:
    """A server that closes so many connections before it answers; its URL, and what it was sent."""
    requests: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        if len(requests) > times:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n" + b'{"number":1}')
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests


async def stream() -> AsyncIterator[bytes]:
    yield b"once"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_what_is_idempotent_is_repeated_when_the_connection_breaks(
    client: RoleClient, registry: CollectorRegistry, method: str
) -> None:
    data = b"x" if method == "PUT" else None
    async with breaking(4) as (url, requests), client.request(method, url, data=data) as response:
        assert response.status == 200

    assert len(requests) == 5
    assert registry.get_sample_value("artstore_client_retries_total") == 2


@pytest.mark.parametrize(("method", "data"), [("POST", b"x"), ("PUT", stream)])
async def test_what_is_not_or_is_a_stream_is_sent_once(client: RoleClient, method: str, data: object) -> None:
    async with breaking(1) as (url, requests):
        with pytest.raises(UnavailableError):
            async with client.request(method, url, data=stream() if data is stream else b"x"):
                pass

    assert len(requests) == 1


async def test_a_call_is_given_up_after_three_attempts_of_two_connections(client: RoleClient) -> None:
    async with breaking(99) as (url, requests):
        with pytest.raises(UnavailableError):
            await client.get(url, Thing)

    assert len(requests) == 6


async def fail(client: RoleClient, url: str, times: int = TRIALS, *, deadline: float = 15) -> None:
    """Call so often for nothing."""
    for _ in range(times):
        with pytest.raises(UnavailableError):
            await client.post(url, Thing(number=1), deadline=deadline)


async def crowd(client: RoleClient, url: str) -> list[object]:
    """How the calls of twenty callers end that come at once."""
    calls = (client.post(url, Thing(number=1)) for _ in range(20))
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_a_target_that_does_not_answer_is_left_alone_and_others_are_not(
    peer: Peer, client: RoleClient, registry: CollectorRegistry
) -> None:
    async with breaking(99) as (url, requests):
        await fail(client, url)
        await fail(client, url, 3, deadline=0.3)  # shorter than the pause

    assert len(requests) == TRIALS
    assert registry.get_sample_value(LEFT_ALONE) == 1
    assert await client.get(peer.url("/thing"), Thing) == Thing(number=1)


async def test_who_can_wait_is_answered_by_a_target_that_is_back(client: RoleClient) -> None:
    async with breaking(TRIALS) as (url, _):
        await fail(client, url)

        assert set(await crowd(client, url)) == {b'{"number":1}'}


async def test_one_caller_tries_a_target_again_before_all_do(client: RoleClient) -> None:
    async with breaking(99) as (url, requests):
        await fail(client, url)

        outcomes = await crowd(client, url)

    assert len(requests) == TRIALS + 1
    assert {type(outcome) for outcome in outcomes} == {UnavailableError}


async def test_where_the_caller_who_tries_is_cancelled_another_one_tries_at_once(
    peer: Peer, client: RoleClient
) -> None:
    await fail(client, peer.url("/slow"), deadline=0.05)
    first = asyncio.create_task(fail(client, peer.url("/slow"), 1))
    asked = len(peer.seen)

    async def is_tried() -> bool:
        return len(peer.seen) > asked

    await eventually(is_tried)
    others = asyncio.create_task(crowd(client, peer.url("/thing")))
    await asyncio.sleep(0)

    first.cancel()

    assert set(await others) == {b'{"number": 1}'}


async def test_a_target_that_takes_calls_and_does_not_answer_is_left_alone_too(
    peer: Peer, client: RoleClient, registry: CollectorRegistry
) -> None:
    await fail(client, peer.url("/slow"), deadline=0.05)

    assert registry.get_sample_value(LEFT_ALONE) == 1


async def test_nobody_closes_a_target_to_others_by_being_in_a_hurry(
    peer: Peer, client: RoleClient, registry: CollectorRegistry
) -> None:
    async def hurried() -> None:
        note_deadline("0.05")
        await fail(client, peer.url("/slow"), 1)

    for _ in range(TRIALS + 1):
        await asyncio.create_task(hurried())

    assert registry.get_sample_value(LEFT_ALONE) == 0


async def test_a_target_is_not_left_alone_because_there_is_no_token_for_it(
    peer: Peer, registry: CollectorRegistry
) -> None:
    is_there = False

    async def credentials() -> ClientCredentials:
        if not is_there:
            raise UnavailableError("not there yet")
        return ClientCredentials("id", "secret")

    async with open_role_client(
        token_url=peer.url("/token"), credentials=credentials, registry=registry
    ) as client:
        await fail(client, peer.url("/thing"), TRIALS + 1)
        is_there, peer.issuer_delay = True, 5.0
        await fail(client, peer.url("/thing"), TRIALS + 1, deadline=0.05)

    assert registry.get_sample_value(LEFT_ALONE) == 0
    assert not peer.seen


async def test_clients_that_break_off_their_uploads_do_not_close_an_element(
    peer: Peer, client: RoleClient
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise ConnectionResetError("the client has gone")

    for _ in range(8):
        with pytest.raises(UnavailableError):
            async with client.request("PUT", peer.url("/slow"), data=broken()):
                pass

    assert await client.get(peer.url("/thing"), Thing) == Thing(number=1)


async def test_a_role_is_told_for_how_long_it_is_waited_for(client: RoleClient) -> None:
    async with breaking(0) as (url, requests):
        await client.get(url, Thing, deadline=9)

    [line] = [line for line in requests[0].splitlines() if line.startswith(DEADLINE_HEADER)]
    assert 8 < float(line.partition(":")[2]) <= 9


async def test_who_is_waited_for_waits_no_longer_for_others(peer: Peer, client: RoleClient) -> None:
    async def handler() -> None:
        note_deadline("0.1")
        await client.get(peer.url("/slow"), Thing, deadline=20)

    with pytest.raises(UnavailableError):
        await asyncio.wait_for(asyncio.create_task(handler()), timeout=10)


async def test_nothing_is_asked_for_somebody_who_does_not_wait_any_more(
    peer: Peer, client: RoleClient
) -> None:
    async def handler() -> None:
        note_deadline("0")
        await client.get(peer.url("/thing"), Thing)

    with pytest.raises(UnavailableError, match="does not wait"):
        await asyncio.create_task(handler())

    assert not peer.seen


@pytest.mark.parametrize("header", [None, "soon", "-1", "inf", "nan"])
async def test_what_is_no_deadline_is_none(peer: Peer, client: RoleClient, header: str | None) -> None:
    copy_context().run(note_deadline, header)
    note_deadline(header)

    assert await client.get(peer.url("/thing"), Thing) == Thing(number=1)


async def test_what_is_done_for_many_has_the_deadline_of_none(peer: Peer, client: RoleClient) -> None:
    async def handler() -> Thing:
        note_deadline("0")
        return await asyncio.create_task(client.get(peer.url("/thing"), Thing), context=undated())

    assert await asyncio.create_task(handler()) == Thing(number=1)
