"""The OAuth authenticator proves its contract, remembers within bounds, and gives nothing away."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from structlog.testing import capture_logs

from artstore.core.spec import Authenticator, Credentials, UnauthenticatedError, UnavailableError
from artstore.core.testing import AuthContract, IssuerServer, TokenMint, issuer_server, plugin_context
from artstore.core.testing.auth import authenticate, refuse
from artstore.core.testing.issuer import HOUR, joined, rsa_key
from artstore.plugins.auth_oauth.plugin import OAuthConfig, artstore_auth_providers, open_oauth


@pytest.fixture
def mint() -> TokenMint:
    return TokenMint()


@pytest.fixture
async def issuer(mint: TokenMint) -> AsyncGenerator[IssuerServer, None]:
    async with issuer_server(mint) as server:
        yield server


def configured(mint: TokenMint, issuer: IssuerServer, **options: Any) -> OAuthConfig:
    trusted = {"issuer": mint.issuer, "audience": mint.audience, "jwks_url": issuer.jwks_url, "leeway": 0}
    return OAuthConfig.model_validate(trusted | options)


@pytest.fixture
async def authenticator(mint: TokenMint, issuer: IssuerServer) -> AsyncGenerator[Authenticator, None]:
    async with open_oauth(configured(mint, issuer), plugin_context("auth_oauth")) as opened:
        yield opened


class TestOAuthAuthenticator(AuthContract):
    @pytest.fixture
    async def authenticator(
        self, mint: TokenMint, issuer: IssuerServer
    ) -> AsyncGenerator[Authenticator, None]:
        async with open_oauth(configured(mint, issuer), plugin_context("auth_oauth")) as opened:
            yield opened


class TestTokens:
    @pytest.mark.parametrize("typ", ["application/at+jwt", "AT+JWT"])
    async def test_every_spelling_of_the_type_is_understood(
        self, authenticator: Authenticator, mint: TokenMint, typ: str
    ) -> None:
        principal = await authenticate(authenticator, mint(header={"typ": typ}))

        assert principal.name == "ingester"

    @pytest.mark.parametrize("member", ["jku", "x5u", "x5c"])
    async def test_where_a_token_says_its_key_is_does_not_matter(
        self, authenticator: Authenticator, issuer: IssuerServer, mint: TokenMint, member: str
    ) -> None:
        token = mint(header={member: "http://127.0.0.1:9/keys", "kid": "attacker"}, key=rsa_key("attacker"))

        await refuse(authenticator, token)

        assert issuer.fetches == 1

    @pytest.mark.parametrize("header", [{"crit": ["exp"], "exp": 1}, {"b64": False, "crit": ["b64"]}])
    async def test_a_token_that_demands_extensions_is_refused(
        self, authenticator: Authenticator, mint: TokenMint, header: Mapping[str, Any]
    ) -> None:
        header = {"alg": "RS256", "kid": mint.kid, "typ": "at+jwt", **header}

        await refuse(authenticator, joined(header, mint.claims(), signing_secret=b""))

    async def test_a_token_bound_to_a_certificate_is_good_with_that_one_alone(
        self, authenticator: Authenticator, mint: TokenMint
    ) -> None:
        own, other = (Credentials(client_certificate=der) for der in (b"mine", b"another"))
        token = mint(cnf={"x5t#S256": own.certificate_thumbprint})

        for _ in range(2):  # remembered or not
            shown = Credentials(bearer_token=token, client_certificate=own.client_certificate)
            assert (await authenticator.authenticate(shown)).subject
            for certificate in (other.client_certificate, None):
                with pytest.raises(UnauthenticatedError, match="bound to a client certificate"):
                    await authenticator.authenticate(
                        Credentials(bearer_token=token, client_certificate=certificate)
                    )

    @pytest.mark.parametrize(
        "binding",
        [
            {},
            {"x5t#S256": ""},
            {"x5t#S256": None},
            {"jkt": "A4Dt"},
            {"x5t#S256": "A4Dt", "jkt": "A4Dt"},
            "A4Dt",
        ],
    )
    async def test_a_token_that_is_bound_to_something_else_is_refused(
        self, authenticator: Authenticator, mint: TokenMint, binding: object
    ) -> None:
        refusal = await refuse(authenticator, mint(cnf=binding))

        assert "cnf" in refusal.detail

    @settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    async def test_no_damaged_token_is_anything_but_refused(
        self, authenticator: Authenticator, mint: TokenMint, data: st.DataObject
    ) -> None:
        token = mint()
        position = data.draw(st.integers(0, len(token) - 1))
        # "=" excepted: the library forgives padding, which adds nothing to what is signed.
        characters = st.characters(exclude_characters="=")
        damage = data.draw(st.text(characters, max_size=3).filter(lambda text: text != token[position]))

        await refuse(authenticator, token[:position] + damage + token[position + 1 :])

    @settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        claim=st.sampled_from(
            ["iss", "aud", "sub", "client_id", "scope", "type", "exp", "nbf", "iat", "jti"]
        ),
        value=st.none()
        | st.booleans()
        | st.floats()
        | st.lists(st.integers(), max_size=2)
        | st.dictionaries(st.text(), st.none(), max_size=1),
    )
    async def test_whatever_an_issuer_writes_ends_in_a_principal_or_a_refusal(
        self, authenticator: Authenticator, mint: TokenMint, claim: str, value: object
    ) -> None:
        written: dict[str, Any] = {claim: value}
        try:
            principal = await authenticate(authenticator, mint(**written))
        except UnauthenticatedError:
            return

        assert claim in ("exp", "nbf", "iat")
        assert isinstance(value, (bool, float))
        assert principal.expires_at is not None
        assert principal.expires_at > datetime.now(UTC)


class TestMessages:
    @pytest.mark.parametrize(
        ("replaced", "advice"),
        [
            ({"exp": 1}, "has expired; request a new one"),
            ({"nbf": time.time() + HOUR}, "compare the clocks"),
            ({"aud": "another"}, "for another audience"),
            ({"iss": "another"}, "from another issuer"),
            ({"token_use": "refresh"}, "not an access token"),
            ({"scope": None}, "'scope' is missing"),
            ({"iat": None}, "'iat' is missing"),
        ],
    )
    async def test_a_refusal_tells_an_honest_client_what_to_do(
        self, authenticator: Authenticator, mint: TokenMint, replaced: dict[str, Any], advice: str
    ) -> None:
        refusal = await refuse(authenticator, mint(**replaced))

        assert advice in refusal.detail

    async def test_a_forged_token_is_not_told_what_else_is_wrong_with_it(
        self, authenticator: Authenticator, mint: TokenMint
    ) -> None:
        wrongs: list[dict[str, Any]] = [
            {},
            {"exp": 1},
            {"aud": "another"},
            {"iss": "another"},
            {"scope": None},
        ]

        refusals = [await refuse(authenticator, mint(key=rsa_key("attacker"), **wrong)) for wrong in wrongs]

        details = {refusal.detail for refusal in refusals}
        assert details == {"the access token is not valid; request a new one"}

    async def test_nothing_of_a_token_appears_in_logs_errors_or_reprs(
        self, authenticator: Authenticator, issuer: IssuerServer, mint: TokenMint
    ) -> None:
        tokens = [mint(), mint(exp=1), mint(key=rsa_key("attacker")), mint(header={"kid": "k2"}), "x" * 20]
        said = [repr(authenticator)]

        with capture_logs() as logs:
            for token in tokens:
                try:
                    said.append(repr(Credentials(bearer_token=token)))
                    await authenticate(authenticator, token)
                except UnauthenticatedError as error:
                    said += [repr(error), repr(error.__cause__), str(error)]

        everything = " ".join(said) + json.dumps(logs)
        parts = [part for token in tokens for part in token.split(".")]
        assert logs
        assert [part for part in parts if part in everything] == []


class TestMemory:
    async def test_a_token_is_verified_once(
        self, authenticator: Authenticator, issuer: IssuerServer, mint: TokenMint
    ) -> None:
        token = mint()
        first = await authenticate(authenticator, token)

        second = await authenticate(authenticator, token)

        assert second is first

    async def test_the_oldest_tokens_are_forgotten_when_there_are_too_many(
        self, mint: TokenMint, issuer: IssuerServer
    ) -> None:
        tokens = [mint() for _ in range(4)]
        config = configured(mint, issuer, cache_size=3)
        async with open_oauth(config, plugin_context("auth_oauth")) as authenticator:
            first = [await authenticate(authenticator, token) for token in tokens]

            again = [await authenticate(authenticator, token) for token in reversed(tokens)]

        remembered = [new is old for new, old in zip(reversed(again), first, strict=True)]
        assert remembered == [False, True, True, True]

    async def test_refused_tokens_do_not_push_good_ones_out(
        self, mint: TokenMint, issuer: IssuerServer
    ) -> None:
        config = configured(mint, issuer, cache_size=1)
        async with open_oauth(config, plugin_context("auth_oauth")) as authenticator:
            token = mint()
            first = await authenticate(authenticator, token)

            await refuse(authenticator, mint(exp=1))

            assert await authenticate(authenticator, token) is first

    async def test_the_leeway_lets_a_token_live_on(self, mint: TokenMint, issuer: IssuerServer) -> None:
        config = configured(mint, issuer, leeway=60)
        async with open_oauth(config, plugin_context("auth_oauth")) as authenticator:
            token = mint(exp=int(time.time()) - 10)

            first = await authenticate(authenticator, token)

            assert await authenticate(authenticator, token) is first


class TestOpening:
    async def test_it_opens_although_the_issuer_is_down(self, mint: TokenMint, issuer: IssuerServer) -> None:
        await issuer.stop()

        async with open_oauth(configured(mint, issuer), plugin_context("auth_oauth")) as authenticator:
            with pytest.raises(UnavailableError):
                await authenticate(authenticator, mint())

    async def test_closing_leaves_no_fetch_behind(self, mint: TokenMint, issuer: IssuerServer) -> None:
        issuer.hangs()
        async with open_oauth(configured(mint, issuer), plugin_context("auth_oauth")) as authenticator:
            waiting = asyncio.create_task(authenticate(authenticator, mint()))
            await asyncio.sleep(0.02)

        await asyncio.wait([waiting])

        assert waiting.cancelled()

    def test_it_is_introduced_as_oauth(self) -> None:
        [provider] = artstore_auth_providers()

        assert (provider.name, provider.spec, provider.config) == ("oauth", 1, OAuthConfig)

    @pytest.mark.parametrize("issuer", ["https://issuer.example", "https://issuer.example/"])
    def test_the_keys_are_at_their_well_known_place(self, issuer: str) -> None:
        config = OAuthConfig(issuer=issuer, audience="artstore")

        assert config.key_set_url == "https://issuer.example/.well-known/jwks.json"

    @pytest.mark.parametrize(
        "options",
        [
            {"issuer": "artstore"},
            {"issuer": ""},
            {"audience": ""},
            {"jwks_url": "ftp://issuer.example/keys"},
            {"jwks_url": "file:///etc/passwd"},
            {"jwks_url": "https://user:password@issuer.example/keys"},
            {"leeway": -1},
            {"leeway": float("nan")},
            {"timeout": 0},
            {"timeout": float("inf")},
            {"cache_size": 0},
            {"algorithms": ["HS256"]},
        ],
    )
    def test_options_that_cannot_be_right_are_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            OAuthConfig.model_validate({"issuer": "https://issuer.example", "audience": "artstore"} | options)
