"""The token with which a role calls others: one refresh however many callers, and what is measured of it."""

import asyncio
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from artstore.core.client.errors import (
    AuthenticationError,
    IssuerAnswerError,
    IssuerRefusedError,
    IssuerUnreachableError,
)
from artstore.core.client.roles import RoleClient, open_role_client
from artstore.core.client.tokens import MAX_ANSWER_SIZE, ClientCredentials
from artstore.core.spec import UnavailableError, UpstreamError
from tests.clock import Clock
from tests.core.client.peer import Peer, Thing
from tests.services.admin.harness import eventually

CROWD = 1000
Read = Callable[..., float]


@pytest.fixture
def number(registry: CollectorRegistry) -> Read:
    """The present value of a sample; 0 when there is none."""

    def read(name: str, **labels: str) -> float:
        return registry.get_sample_value(name, labels) or 0.0

    return read


async def reads(number: Read, value: float, name: str, **labels: str) -> bool:
    """Whether a sample has reached ``value``."""
    return number(name, **labels) == value


async def call(peer: Peer, client: RoleClient) -> None:
    assert await client.get(peer.url("/thing"), Thing, deadline=60) == Thing(number=1)


async def test_a_thousand_callers_cause_one_request(peer: Peer, client: RoleClient, number: Read) -> None:
    peer.issuer_delay = 0.2

    await asyncio.gather(*(call(peer, client) for _ in range(CROWD)))

    assert peer.tokens_issued == 1
    assert number("auth_token_refresh_total", status="success", trigger="expired") == 1
    assert number("auth_token_source_total", source="fresh_request") == CROWD


async def test_a_thousand_callers_whose_token_is_refused_cause_one_more(
    peer: Peer, client: RoleClient, number: Read
) -> None:
    await call(peer, client)
    peer.refused.add("token-1")

    await asyncio.gather(*(call(peer, client) for _ in range(CROWD)))

    assert peer.tokens_issued == 2
    assert number("auth_token_refresh_total", status="success", trigger="manual") == 1


async def test_a_thousand_callers_of_an_issuer_that_fails_ask_it_once(
    peer: Peer, client: RoleClient, number: Read
) -> None:
    peer.issuer_status, peer.issuer_delay = 503, 0.2

    failures = await asyncio.gather(
        *(client.get(peer.url("/thing"), Thing, deadline=60) for _ in range(CROWD)), return_exceptions=True
    )

    assert {type(failure) for failure in failures} == {IssuerUnreachableError}
    assert number("auth_token_requests_total", status="failure", error_type="connection") == 1


@pytest.mark.parametrize(("expires_in", "at"), [(1.0, 0.79), (3000.0, 2699.0)])
async def test_before_its_margin_a_token_is_not_refreshed(
    peer: Peer, client: RoleClient, clock: Clock, number: Read, expires_in: float, at: float
) -> None:
    peer.expires_in = expires_in
    await call(peer, client)
    clock.now += at

    await call(peer, client)

    assert number("auth_token_source_total", source="cache") == 1
    assert number("auth_token_validation_total", result="valid") == 1


@pytest.mark.parametrize(("expires_in", "at"), [(1.0, 0.81), (3000.0, 2701.0)])
async def test_the_margin_is_a_fifth_of_a_token_s_life_and_at_most_five_minutes(
    peer: Peer, client: RoleClient, clock: Clock, number: Read, expires_in: float, at: float
) -> None:
    peer.expires_in = expires_in
    await call(peer, client)
    clock.now += at

    await call(peer, client)

    assert number("auth_token_validation_total", result="expiring_soon") == 1
    await eventually(
        lambda: reads(number, 1, "auth_token_refresh_total", status="success", trigger="expiring_soon")
    )
    assert peer.tokens_issued == 2


async def test_a_token_that_holds_outlives_an_outage_of_the_issuer(
    peer: Peer, client: RoleClient, clock: Clock, number: Read
) -> None:
    peer.expires_in = 2.0
    await call(peer, client)
    peer.issuer_status = 503
    clock.now += 1.7

    await call(peer, client)

    assert number("auth_token_validation_total", result="expiring_soon") == 1
    await eventually(
        lambda: reads(number, 1, "auth_token_refresh_total", status="failure", trigger="expiring_soon")
    )


async def test_an_issuer_that_is_slow_makes_nobody_wait_longer_than_they_want(
    peer: Peer, client: RoleClient
) -> None:
    peer.issuer_delay = 5

    with pytest.raises(UnavailableError, match="in time"):
        await client.get(peer.url("/thing"), Thing, deadline=0.1)


@pytest.mark.parametrize(
    ("status", "answer", "error", "error_type", "kind"),
    [
        (503, b"", IssuerUnreachableError, "connection", UnavailableError),
        (429, b"", IssuerUnreachableError, "connection", UnavailableError),
        (401, b"", IssuerRefusedError, "http", UpstreamError),
        (302, b"", IssuerRefusedError, "http", UpstreamError),
        (200, b"<html>", IssuerAnswerError, "malformed", UpstreamError),
        (200, b"{}", IssuerAnswerError, "malformed", UpstreamError),
        (
            200,
            b'{"access_token": "a\\r\\nX-Injected: 1", "token_type": "Bearer", "expires_in": 9}',
            IssuerAnswerError,
            "malformed",
            UpstreamError,
        ),
        (
            200,
            b'{"access_token": "a", "token_type": "mac", "expires_in": 9}',
            IssuerAnswerError,
            "malformed",
            UpstreamError,
        ),
        (
            200,
            b'{"access_token": "a", "token_type": "Bearer", "expires_in": -1}',
            IssuerAnswerError,
            "malformed",
            UpstreamError,
        ),
        (200, b" " * (MAX_ANSWER_SIZE + 1), IssuerAnswerError, "malformed", UpstreamError),
    ],
    ids=["503", "429", "refused", "redirected", "html", "empty", "crlf", "type", "expired", "endless"],
)
async def test_what_an_issuer_does_instead_is_told_by_kind_and_counted(
    peer: Peer,
    client: RoleClient,
    number: Read,
    status: int,
    answer: bytes,
    error: type[Exception],
    error_type: str,
    kind: type[Exception],
) -> None:
    peer.issuer_status, peer.issuer_body = status, answer

    with pytest.raises(AuthenticationError) as raised:
        await call(peer, client)

    assert type(raised.value) is error
    assert isinstance(raised.value, kind)
    assert number("auth_token_requests_total", status="failure", error_type=error_type) == 1
    url = peer.url("/")[:-1]
    assert number("auth_errors_total", error_type=error_type, admin_module_url=url) == 1
    assert not peer.seen


async def test_a_secret_is_never_sent_where_an_issuer_redirects_to(peer: Peer, client: RoleClient) -> None:
    peer.issuer_status, peer.issuer_location = 307, peer.url("/elsewhere")

    with pytest.raises(IssuerRefusedError):
        await call(peer, client)

    assert not peer.seen


async def test_an_issuer_that_does_not_answer_is_left_alone_and_found_again(
    peer: Peer, client: RoleClient, number: Read
) -> None:
    peer.issuer_status = 503
    for _ in range(5):
        with pytest.raises(IssuerUnreachableError, match="503"):
            await call(peer, client)

    before = number("auth_token_requests_total", status="failure", error_type="connection")
    with pytest.raises(IssuerUnreachableError):
        await client.get(peer.url("/thing"), Thing, deadline=0.1)  # shorter than the pause
    assert number("auth_token_requests_total", status="failure", error_type="connection") == before

    peer.issuer_status = 200
    await call(peer, client)


async def test_the_numbers_of_the_token_move_and_are_reset_when_the_client_closes(
    peer: Peer, registry: CollectorRegistry, number: Read
) -> None:
    async def credentials() -> ClientCredentials:
        return ClientCredentials("id", "secret")

    async with open_role_client(
        token_url=peer.url("/token"), credentials=credentials, registry=registry
    ) as client:
        for _ in range(4):
            await call(peer, client)

        assert 1700 < number("auth_token_ttl_seconds") <= 1800
        assert number("auth_token_cache_hit_rate") == 75
        assert number("auth_token_validation_total", result="missing") == 1
        assert number("auth_token_validation_total", result="valid") == 3
        assert number("auth_token_acquisition_duration_seconds_count") == 4
        assert number("auth_token_refresh_duration_seconds_count") == 1

    assert number("auth_token_ttl_seconds") == 0
    assert number("auth_token_cache_hit_rate") == 0
