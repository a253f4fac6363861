"""The issuer's keys are fetched once, followed through rotations, and kept through outages."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from artstore.core.spec import UnauthenticatedError, UnavailableError
from artstore.core.testing import IssuerServer, TokenMint, issuer_server, plugin_context
from artstore.core.testing.auth import authenticate
from artstore.core.testing.issuer import jwk, rsa_key
from artstore.plugins.auth_oauth.backend import OAuthAuthenticator
from artstore.plugins.auth_oauth.jwks import freshness_lifetime, read_jwk_set
from artstore.plugins.auth_oauth.keys import FAILURE_PAUSE, LARGEST_DOCUMENT, LONGEST_LIFETIME, IssuerKeys
from artstore.plugins.auth_oauth.plugin import OAuthConfig
from tests.clock import Clock

FETCHES = "artstore_plugin_auth_oauth_jwks_fetches_total"
LIFETIME = 300
COOLDOWN = 10


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def issuer() -> AsyncGenerator[IssuerServer, None]:
    async with issuer_server(TokenMint()) as server:
        yield server


def configured(issuer: IssuerServer, **options: Any) -> OAuthConfig:
    mint = TokenMint()
    trusted = {"issuer": mint.issuer, "audience": mint.audience, "jwks_url": issuer.jwks_url}
    return OAuthConfig.model_validate(trusted | options)


@pytest.fixture
async def keys(
    issuer: IssuerServer, clock: Clock, registry: CollectorRegistry
) -> AsyncGenerator[IssuerKeys, None]:
    async with aiohttp.ClientSession() as session:
        opened = IssuerKeys(configured(issuer), plugin_context("auth_oauth", registry), session, clock=clock)
        yield opened
        await opened.close()


class TestFetching:
    async def test_nothing_is_fetched_before_a_key_is_needed(
        self, issuer: IssuerServer, keys: IssuerKeys
    ) -> None:
        assert issuer.fetches == 0
        assert keys.fresh_for == 0

    async def test_500_concurrent_callers_cause_one_fetch(
        self, issuer: IssuerServer, keys: IssuerKeys
    ) -> None:
        found = await asyncio.gather(*[keys.find("key-1") for _ in range(500)])

        assert issuer.fetches == 1
        assert len({id(key) for key in found}) == 1

    async def test_fresh_keys_are_not_fetched_again(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock
    ) -> None:
        await keys.find("key-1")

        clock.now += LIFETIME - 1
        await keys.find("key-1")

        assert issuer.fetches == 1

    async def test_keys_past_their_lifetime_are_fetched_again(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock
    ) -> None:
        await keys.find("key-1")

        clock.now += LIFETIME
        await keys.find("key-1")

        assert issuer.fetches == 2

    async def test_the_issuer_says_how_long_its_keys_last(
        self, issuer: IssuerServer, keys: IssuerKeys
    ) -> None:
        issuer.headers["Cache-Control"] = "public, max-age=3600"

        await keys.find("key-1")

        assert keys.fresh_for == 3600

    async def test_no_issuer_is_believed_for_longer_than_a_day(
        self, issuer: IssuerServer, keys: IssuerKeys
    ) -> None:
        issuer.headers["Cache-Control"] = "max-age=31536000"

        await keys.find("key-1")

        assert keys.fresh_for == LONGEST_LIFETIME

    @pytest.mark.parametrize("header", ["no-store", "no-cache", "max-age=0"])
    async def test_an_issuer_that_forbids_keeping_is_still_not_asked_for_every_request(
        self, issuer: IssuerServer, keys: IssuerKeys, header: str
    ) -> None:
        issuer.headers["Cache-Control"] = header

        await keys.find("key-1")
        await keys.find("key-1")

        assert issuer.fetches == 1
        assert keys.fresh_for == COOLDOWN

    async def test_a_caller_that_gives_up_does_not_take_the_fetch_from_the_others(
        self, issuer: IssuerServer, keys: IssuerKeys
    ) -> None:
        impatient = asyncio.create_task(keys.find("key-1"))
        patient = asyncio.create_task(keys.find("key-1"))
        await asyncio.sleep(0)

        impatient.cancel()

        assert (await patient).key_size == 2048
        assert issuer.fetches == 1

    async def test_closing_gives_up_a_fetch(self, issuer: IssuerServer, keys: IssuerKeys) -> None:
        issuer.hangs()
        waiting = asyncio.create_task(keys.find("key-1"))
        await asyncio.sleep(0.02)

        await keys.close()
        await asyncio.wait([waiting])

        assert waiting.cancelled()


class TestRotation:
    async def test_an_unknown_key_is_looked_for_at_once(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock
    ) -> None:
        await keys.find("key-1")
        issuer.publish("key-1", "key-2")

        clock.now += 1
        found = await keys.find("key-2")

        assert found.public_numbers() == rsa_key("key-2").public_key().public_numbers()
        assert issuer.fetches == 2

    async def test_unknown_keys_cause_one_fetch_per_cool_down(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock
    ) -> None:
        await keys.find("key-1")

        for second in range(2 * COOLDOWN):
            clock.now += 1
            outcomes = await asyncio.gather(
                *[keys.find(f"unknown-{second}-{number}") for number in range(20)], return_exceptions=True
            )
            assert {type(outcome) for outcome in outcomes} == {UnauthenticatedError}

        assert issuer.fetches == 3

    async def test_a_known_key_does_not_wait_for_the_search_of_an_unknown_one(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock
    ) -> None:
        await keys.find("key-1")
        issuer.hangs()
        clock.now += COOLDOWN
        searching = asyncio.create_task(keys.find("unknown"))
        await asyncio.sleep(0)

        await keys.find("key-1")

        assert not searching.done()

    async def test_a_withdrawn_key_is_not_used_any_longer(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock
    ) -> None:
        await keys.find("key-1")
        issuer.publish("key-2")

        clock.now += LIFETIME

        with pytest.raises(UnauthenticatedError):
            await keys.find("key-1")

    async def test_an_issuer_can_withdraw_all_its_keys(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock
    ) -> None:
        await keys.find("key-1")
        issuer.publish()

        clock.now += LIFETIME

        with pytest.raises(UnauthenticatedError):
            await keys.find("key-1")

    async def test_a_remembered_token_falls_with_its_key(self, issuer: IssuerServer) -> None:
        issuer.headers["Cache-Control"] = "max-age=0"
        config = configured(issuer, refetch_cooldown=0.05)
        async with aiohttp.ClientSession() as session:
            keys = IssuerKeys(config, plugin_context("auth_oauth"), session)
            authenticator = OAuthAuthenticator(config, keys)
            token = TokenMint()()
            await authenticate(authenticator, token)
            issuer.publish("key-2")

            await asyncio.sleep(0.1)

            with pytest.raises(UnauthenticatedError):
                await authenticate(authenticator, token)

    async def test_a_key_is_read_once_however_often_it_is_fetched(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock
    ) -> None:
        first = await keys.find("key-1")

        clock.now += LIFETIME
        second = await keys.find("key-1")

        assert issuer.fetches == 2
        assert second is first


class TestOutages:
    async def test_without_keys_an_outage_is_unavailability(
        self, issuer: IssuerServer, keys: IssuerKeys
    ) -> None:
        await issuer.stop()

        with pytest.raises(UnavailableError) as failure:
            await keys.find("key-1")

        assert failure.value.retry_after == FAILURE_PAUSE
        assert "127.0.0.1" not in failure.value.detail

    async def test_500_concurrent_callers_make_one_attempt(
        self, issuer: IssuerServer, keys: IssuerKeys
    ) -> None:
        issuer.says(b"", status=500)

        outcomes = await asyncio.gather(*[keys.find("key-1") for _ in range(500)], return_exceptions=True)

        assert {type(outcome) for outcome in outcomes} == {UnavailableError}
        assert issuer.fetches == 1

    async def test_attempts_pause_after_a_failure(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock
    ) -> None:
        issuer.says(b"", status=503)
        for _ in range(3):
            with pytest.raises(UnavailableError):
                await keys.find("key-1")
        within = issuer.fetches

        clock.now += FAILURE_PAUSE
        with pytest.raises(UnavailableError):
            await keys.find("key-1")

        assert (within, issuer.fetches) == (1, 2)

    async def test_it_recovers_with_the_issuer(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock
    ) -> None:
        await issuer.stop()
        with pytest.raises(UnavailableError):
            await keys.find("key-1")

        await issuer.start()
        clock.now += FAILURE_PAUSE

        assert (await keys.find("key-1")).key_size == 2048

    async def test_after_an_outage_unknown_keys_are_refused_again(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock
    ) -> None:
        issuer.says(b"", status=500)
        with pytest.raises(UnavailableError):
            await keys.find("unknown")
        issuer.recovers()

        clock.now += FAILURE_PAUSE

        with pytest.raises(UnauthenticatedError):
            await keys.find("unknown")

    async def test_known_keys_serve_through_an_outage(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock
    ) -> None:
        first = await keys.find("key-1")
        await issuer.stop()

        clock.now += LONGEST_LIFETIME - 1

        assert await keys.find("key-1") is first

    async def test_no_key_serves_longer_than_a_day_unconfirmed(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock
    ) -> None:
        await keys.find("key-1")
        await issuer.stop()

        clock.now += LONGEST_LIFETIME

        with pytest.raises(UnavailableError):
            await keys.find("key-1")

    async def test_an_unknown_key_is_undecided_during_an_outage(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock
    ) -> None:
        await keys.find("key-1")
        await issuer.stop()

        clock.now += COOLDOWN

        with pytest.raises(UnavailableError):
            await keys.find("key-2")

    async def test_known_keys_do_not_wait_for_an_issuer_that_is_known_to_be_down(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock
    ) -> None:
        await keys.find("key-1")
        issuer.says(b"", status=500)
        clock.now += LIFETIME
        await keys.find("key-1")
        issuer.hangs()
        clock.now += FAILURE_PAUSE

        async with asyncio.timeout(4):  # of the 5 s that an issuer has
            await keys.find("key-1")

    async def test_an_issuer_that_is_back_is_noticed_in_the_background(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock
    ) -> None:
        await keys.find("key-1")
        issuer.says(b"", status=500)
        clock.now += LIFETIME
        await keys.find("key-1")
        issuer.recovers()
        clock.now += FAILURE_PAUSE

        await keys.find("key-1")
        async with asyncio.timeout(10):
            while not keys.fresh_for:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.005)

        assert issuer.fetches == 3

    async def test_a_slow_issuer_is_given_up(self, issuer: IssuerServer) -> None:
        issuer.hangs()
        async with aiohttp.ClientSession() as session:
            keys = IssuerKeys(configured(issuer, timeout=0.05), plugin_context("auth_oauth"), session)

            with pytest.raises(UnavailableError):
                await keys.find("key-1")

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>It works!</html>",
            b"null",
            b"[]",
            b"{}",
            b'{"keys": null}',
            b'{"keys": "key"}',
            b'{"keys": {}}',
            b"\xff\xfe",
            b"[" * 100_000,
        ],
        ids=[
            "empty",
            "html",
            "null",
            "array",
            "object",
            "null-keys",
            "text-keys",
            "object-keys",
            "binary",
            "deep",
        ],
    )
    async def test_garbage_is_an_outage_and_takes_no_key_away(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock, body: bytes
    ) -> None:
        first = await keys.find("key-1")
        issuer.says(body)

        clock.now += LIFETIME

        assert await keys.find("key-1") is first
        assert keys.fresh_for == 0

    async def test_an_endless_answer_is_not_read_to_its_end(
        self, issuer: IssuerServer, keys: IssuerKeys
    ) -> None:
        issuer.says(json.dumps({"keys": [], "padding": "x" * LARGEST_DOCUMENT}).encode())

        with pytest.raises(UnavailableError):
            await keys.find("key-1")

    async def test_redirections_are_not_followed(self, issuer: IssuerServer, keys: IssuerKeys) -> None:
        issuer.headers["Location"] = issuer.jwks_url
        issuer.says(b"", status=302)

        with pytest.raises(UnavailableError):
            await keys.find("key-1")

        assert issuer.fetches == 1

    async def test_an_outage_is_logged_once_and_counted_every_time(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock, registry: CollectorRegistry
    ) -> None:
        issuer.says(b"", status=500)

        with capture_logs() as logs:
            for _ in range(3):
                with pytest.raises(UnavailableError):
                    await keys.find("key-1")
                clock.now += FAILURE_PAUSE
            issuer.recovers()
            await keys.find("key-1")

        assert [line["event"] for line in logs] == ["jwks_fetch_failed", "jwks_changed"]
        assert registry.get_sample_value(FETCHES, {"outcome": "failure"}) == 3
        assert registry.get_sample_value(FETCHES, {"outcome": "success"}) == 1


class TestReadingKeySets:
    @pytest.mark.parametrize(
        "bad",
        [
            None,
            "key",
            {},
            {"kid": "bad"},
            {"kty": "oct", "kid": "bad", "k": "c2VjcmV0"},
            {"kty": "EC", "kid": "bad", "crv": "P-256", "x": "AA", "y": "AA"},
            jwk("bad", rsa_key("bad")) | {"use": "enc"},
            jwk("bad", rsa_key("bad")) | {"alg": "RS512"},
            jwk("bad", rsa_key("bad")) | {"alg": ["RS256"]},
            jwk("bad", rsa_key("bad")) | {"kid": None},
            jwk("bad", rsa_key("bad")) | {"kid": ""},
            jwk("bad", rsa_key("bad")) | {"n": "!!!!"},
            jwk("bad", rsa_key("bad")) | {"n": ""},
            jwk("bad", rsa_key("bad")) | {"n": "!!!!" + jwk("bad", rsa_key("bad"))["n"]},
            jwk("bad", rsa_key("bad")) | {"e": "AQ"},
            jwk("bad", rsa_key("bad")) | {"e": "AA"},
            jwk("bad", rsa_key("bad")) | {"e": "A"},
            jwk("bad", rsa_key("bad")) | {"e": "_" * 21 + "w"},
            jwk("bad", rsa_key("bad")) | {"e": rsa_key("bad").public_key().public_numbers().n},
            jwk("bad", rsa.generate_private_key(public_exponent=65537, key_size=1024)),
            jwk("bad", rsa_key("bad")) | {"n": "_" * 3000},
        ],
    )
    def test_a_bad_key_is_refused_and_the_good_one_kept(self, bad: object) -> None:
        document = json.dumps({"keys": [bad, jwk("good", rsa_key("key-1"))]}).encode()

        keys, refusals = read_jwk_set(document)

        assert list(keys) == ["good"]
        assert len(refusals) == 1
        assert refusals[0].startswith("key 0: ")

    async def test_refused_keys_are_logged_when_they_appear(
        self, issuer: IssuerServer, keys: IssuerKeys, clock: Clock
    ) -> None:
        issuer.published.append({"kty": "oct", "kid": "bad", "k": "c2VjcmV0"})

        with capture_logs() as logs:
            await keys.find("key-1")
            clock.now += LIFETIME
            await keys.find("key-1")

        [refused] = [line for line in logs if line["event"] == "jwks_keys_refused"]
        assert "kty" in refused["refusals"][0]
        assert "c2VjcmV0" not in json.dumps(logs)

    def test_a_private_key_published_by_mistake_serves_as_a_public_one_and_is_not_kept(self) -> None:
        numbers = rsa_key("key-1").private_numbers()
        published = jwk("leaked", rsa_key("key-1")) | {"d": f"{numbers.d}", "p": f"{numbers.p}"}

        keys, _ = read_jwk_set(json.dumps({"keys": [published]}).encode())

        assert isinstance(keys["leaked"], rsa.RSAPublicKey)

    def test_of_two_keys_with_one_name_the_first_stays(self) -> None:
        document = {"keys": [jwk("same", rsa_key("key-1")), jwk("same", rsa_key("attacker"))]}

        keys, _ = read_jwk_set(json.dumps(document).encode())

        assert keys["same"].public_numbers() == rsa_key("key-1").public_key().public_numbers()

    @pytest.mark.parametrize(
        ("cache_control", "lifetime"),
        [
            ("", 300),
            ("public", 300),
            ("max-age=60", 60),
            ("public, Max-Age=60, must-revalidate", 60),
            ('max-age="60"', 60),
            ("s-maxage=60", 300),
            ("max-age=60, no-store", 0),
            ("no-cache", 0),
            ("max-age=-1", 300),
            ("max-age=²", 300),
            ("max-age", 300),
        ],
    )
    def test_the_lifetime_is_what_cache_control_says(self, cache_control: str, lifetime: float) -> None:
        assert freshness_lifetime(cache_control, default=300) == lifetime
