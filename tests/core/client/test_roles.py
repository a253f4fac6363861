"""How one role calls another: tokens, retries, deadlines, and what an answer means. Real servers."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from artstore.core.client.roles import RoleClient
from artstore.core.client.tokens import ClientCredentials
from artstore.core.http.problems import RemoteError
from artstore.core.spec import UnavailableError, UpstreamError
from tests.clock import Clock
from tests.core.client.peer import Peer, Thing
from tests.services.admin.harness import eventually

BODY = bytes(range(256)) * 2048


async def test_one_token_serves_many_calls(peer: Peer, client: RoleClient) -> None:
    for _ in range(3):
        assert await client.get(peer.url("/thing"), Thing) == Thing(number=1)

    assert peer.tokens_issued == 1


async def test_a_crowd_of_callers_causes_one_token_request(peer: Peer, client: RoleClient) -> None:
    peer.issuer_delay = 0.05

    await asyncio.gather(*(client.get(peer.url("/thing"), Thing) for _ in range(200)))

    assert peer.tokens_issued == 1


async def test_a_token_near_its_end_is_refreshed_without_making_anybody_wait(
    peer: Peer, client: RoleClient, clock: Clock
) -> None:
    peer.expires_in = 1.0
    await client.get(peer.url("/thing"), Thing)
    clock.now += 0.85  # past the margin of 20 %, before the end
    peer.issuer_delay = 0.2  # longer than an answer takes: whoever waits for the next token gets it

    await client.get(peer.url("/thing"), Thing)

    async def is_replaced() -> bool:
        await client.get(peer.url("/thing"), Thing)
        return peer.seen[-1][0] == "token-2"

    assert peer.seen[-1][0] == "token-1"
    await eventually(is_replaced)


async def test_a_refused_token_is_replaced_once(peer: Peer, client: RoleClient) -> None:
    peer.refused.add("token-1")

    assert await client.get(peer.url("/thing"), Thing) == Thing(number=1)

    assert [token for token, _ in peer.seen] == ["token-1", "token-2"]


async def test_credentials_that_stay_refused_are_told_after_one_retry(peer: Peer, client: RoleClient) -> None:
    peer.refused |= {"token-1", "token-2", "token-3"}

    with pytest.raises(UpstreamError):
        await client.get(peer.url("/thing"), Thing)

    assert len(peer.seen) == 2


async def chunks() -> AsyncIterator[bytes]:
    """A body of :data:`BODY`, which sockets do not take in one go."""
    for start in range(0, len(BODY), 64 * 1024):
        yield BODY[start : start + 64 * 1024]


async def test_a_crowd_of_uploads_whose_token_is_refused_sends_all_again_with_one_other(
    peer: Peer, client: RoleClient
) -> None:
    await client.get(peer.url("/thing"), Thing)
    peer.refused.add("token-1")

    async def store() -> int:
        async with client.request("POST", peer.url("/store"), data=chunks) as response:
            return response.status

    assert await asyncio.gather(*(store() for _ in range(8))) == [200] * 8
    assert peer.stored == [BODY] * 8
    assert peer.tokens_issued == 2


async def test_a_stream_that_nobody_has_asked_for_is_sent_with_a_fresh_token(
    peer: Peer, client: RoleClient
) -> None:
    peer.refused.add("token-1")

    async with client.request(
        "POST", peer.url("/store"), data=chunks(), headers={"Expect": "100-continue"}
    ) as response:
        assert response.status == 200

    assert peer.stored == [BODY]


async def test_a_stream_of_which_some_is_gone_is_not_sent_again(peer: Peer, client: RoleClient) -> None:
    peer.refused.add("token-1")

    with pytest.raises(UpstreamError):
        async with client.request("POST", peer.url("/store"), data=chunks()):
            pass

    assert [token for token, _ in peer.seen] == ["token-1"]
    assert await client.get(peer.url("/thing"), Thing) == Thing(number=1)


async def test_a_caller_that_gives_up_does_not_take_the_token_from_the_others(
    peer: Peer, client: RoleClient
) -> None:
    peer.issuer_delay = 0.1
    impatient = asyncio.create_task(client.get(peer.url("/thing"), Thing))
    patient = asyncio.create_task(client.get(peer.url("/thing"), Thing))
    await asyncio.sleep(0.02)
    impatient.cancel()

    assert await patient == Thing(number=1)
    assert peer.tokens_issued == 1


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (500, b"", UnavailableError),
        (429, b"", UnavailableError),
        (401, b'{"error": "invalid_client"}', UpstreamError),
        (200, b"<html>", UpstreamError),
        (200, b"{}", UpstreamError),
    ],
)
async def test_an_issuer_that_does_not_issue_is_told_by_kind(
    peer: Peer, client: RoleClient, status: int, answer: bytes, error: type[Exception]
) -> None:
    peer.issuer_status, peer.issuer_body = status, answer

    with pytest.raises(error):
        await client.get(peer.url("/thing"), Thing)


async def test_an_issuer_that_comes_back_is_asked_again(peer: Peer, client: RoleClient) -> None:
    peer.issuer_status = 503
    with pytest.raises(UnavailableError):
        await client.get(peer.url("/thing"), Thing)

    peer.issuer_status = 200

    assert await client.get(peer.url("/thing"), Thing) == Thing(number=1)


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("garbage", UpstreamError),
        ("crash", UpstreamError),
        ("busy", UnavailableError),
        ("cut", UpstreamError),
    ],
)
async def test_a_role_that_fails_is_told_by_kind(
    peer: Peer, client: RoleClient, what: str, error: type[Exception]
) -> None:
    with pytest.raises(error) as raised:
        await client.get(peer.url(f"/{what}"), Thing)

    assert "secret stack" not in str(raised.value)
    if isinstance(raised.value, UnavailableError):
        assert raised.value.retry_after == 9


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("endless", "another role answered more than 100000 bytes"),
        ("endless-failure", "another role answered 500 without saying why"),
        ("stalled-failure", "another role answered 500 without saying why"),
    ],
)
async def test_an_answer_without_an_end_is_given_up(
    peer: Peer, client: RoleClient, monkeypatch: pytest.MonkeyPatch, what: str, told: str
) -> None:
    monkeypatch.setattr("artstore.core.client.roles.LARGEST_ANSWER", 100_000)
    monkeypatch.setattr("artstore.core.client.bodies.PROBLEM_TIMEOUT", 0.2)

    async with asyncio.timeout(10):
        with pytest.raises(UpstreamError, match=told):
            await client.get(peer.url(f"/{what}"), Thing, deadline=None)


async def test_a_problem_about_the_request_is_passed_on(peer: Peer, client: RoleClient) -> None:
    with pytest.raises(RemoteError) as raised:
        await client.get(peer.url("/conflict"), Thing)

    assert (raised.value.remote_code, raised.value.problem.status) == ("mode-not-allowed", 409)


@pytest.mark.parametrize("what", ["slow", "stalled"])
async def test_a_deadline_ends_the_wait_for_an_answer_and_for_its_end(
    peer: Peer, client: RoleClient, what: str
) -> None:
    with pytest.raises(UnavailableError, match="in time"):
        await client.get(peer.url(f"/{what}"), Thing, deadline=0.1)


async def test_a_deadline_ends_the_wait_for_the_beginning_of_a_stream(peer: Peer, client: RoleClient) -> None:
    with pytest.raises(UnavailableError, match="in time"):
        async with client.request("GET", peer.url("/slow"), deadline=0.1):
            pass


async def test_an_answer_that_stalls_is_given_up(peer: Peer, client: RoleClient) -> None:
    with pytest.raises(UpstreamError, match="connection"):
        async with client.request("GET", peer.url("/stalled"), stall_timeout=0.1) as response:
            await response.read()


async def test_nobody_there_is_unavailable(peer: Peer, client: RoleClient) -> None:
    url = peer.url("/thing")
    await client.get(url, Thing)
    assert peer.server is not None
    await peer.server.close()

    with pytest.raises(UnavailableError):
        await client.get(url, Thing)


def test_credentials_are_one_line_and_never_printed() -> None:
    credentials = ClientCredentials.parse("sa_dev_x_01234567:ars_s3cret\n")

    assert (credentials.client_id, credentials.client_secret) == ("sa_dev_x_01234567", "ars_s3cret")
    assert "s3cret" not in f"{credentials!r} {credentials}"
    with pytest.raises(ValueError, match="client_id:client_secret"):
        ClientCredentials.parse("nothing")
