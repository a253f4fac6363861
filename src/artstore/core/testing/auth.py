"""What every authenticator must do, as tests its author runs by overriding one fixture."""

import asyncio
import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from artstore.core.spec import Authenticator, Credentials, Principal, UnauthenticatedError
from artstore.core.testing.issuer import HOUR, TokenMint, base64url, joined, jwk, rsa_key

REQUIRED_CLAIMS: Final = (
    "iss",
    "aud",
    "sub",
    "client_id",
    "scope",
    "name",
    "type",
    "token_use",
    "jti",
    "iat",
    "nbf",
    "exp",
)
"""Claims without which a token is refused."""


class AuthContract:
    """Override ``authenticator`` with one that trusts ``mint``.

    ``leeway`` is the difference of clocks, in seconds, that it tolerates.
    """

    leeway: ClassVar[int] = 0

    @pytest.fixture
    def mint(self) -> TokenMint:
        """Makes the tokens of these tests."""
        return TokenMint()

    @pytest.fixture
    def authenticator(self, mint: TokenMint) -> Authenticator:
        """The authenticator to prove."""
        raise NotImplementedError("override this fixture")

    async def test_a_valid_token_proves_its_principal(
        self, authenticator: Authenticator, mint: TokenMint
    ) -> None:
        expires, identifier = int(time.time()) + HOUR, str(uuid.uuid4())
        token = mint(
            sub="s-1",
            client_id="c-1",
            name="one",
            jti=identifier,
            scope="files:read storage:read",
            iat=expires - HOUR,
            nbf=expires - HOUR,
            exp=expires,
        )

        principal = await authenticate(authenticator, token)

        assert principal == Principal(
            subject="s-1",
            kind="service_account",
            client_id="c-1",
            name="one",
            scopes=frozenset({"files:read", "storage:read"}),
            token_id=identifier,
            expires_at=datetime.fromtimestamp(expires, tz=UTC),
            issued_at=datetime.fromtimestamp(expires - HOUR, tz=UTC),
            key_id=mint.kid,
        )

    async def test_people_have_a_kind_of_their_own(
        self, authenticator: Authenticator, mint: TokenMint
    ) -> None:
        principal = await authenticate(authenticator, mint(type="admin_user"))

        assert principal.kind == "admin_user"

    async def test_a_token_without_scopes_gives_none(
        self, authenticator: Authenticator, mint: TokenMint
    ) -> None:
        principal = await authenticate(authenticator, mint(scope=""))

        assert principal.scopes == frozenset()

    async def test_one_audience_among_several_suffices(
        self, authenticator: Authenticator, mint: TokenMint
    ) -> None:
        principal = await authenticate(authenticator, mint(aud=["another", mint.audience]))

        assert principal.name == "ingester"

    async def test_a_token_proves_the_same_every_time(
        self, authenticator: Authenticator, mint: TokenMint
    ) -> None:
        token = mint()

        first = await authenticate(authenticator, token)
        second = await authenticate(authenticator, token)

        assert first == second

    async def test_two_tokens_are_two_principals(self, authenticator: Authenticator, mint: TokenMint) -> None:
        first = await authenticate(authenticator, mint(sub="first"))
        second = await authenticate(authenticator, mint(sub="second"))

        assert (first.subject, second.subject) == ("first", "second")

    async def test_no_token_is_refused(self, authenticator: Authenticator) -> None:
        with pytest.raises(UnauthenticatedError):
            await authenticator.authenticate(Credentials())

    async def test_an_expired_token_is_refused(self, authenticator: Authenticator, mint: TokenMint) -> None:
        past = int(time.time()) - HOUR

        await refuse(authenticator, mint(iat=past - HOUR, nbf=past - HOUR, exp=past))

    async def test_a_token_that_was_good_is_refused_once_it_has_expired(
        self, authenticator: Authenticator, mint: TokenMint
    ) -> None:
        expires = int(time.time()) + 2
        token = mint(exp=expires)
        await authenticate(authenticator, token)

        await asyncio.sleep(expires + self.leeway - time.time() + 0.05)

        await refuse(authenticator, token)

    @pytest.mark.parametrize("claim", ["nbf", "iat"])
    async def test_a_token_from_the_future_is_refused(
        self, authenticator: Authenticator, mint: TokenMint, claim: str
    ) -> None:
        future: dict[str, Any] = {claim: int(time.time()) + HOUR}

        await refuse(authenticator, mint(**future))

    @pytest.mark.parametrize("audience", ["another", ["another"], [], "", None, 1, {"artstore": 1}])
    async def test_a_token_for_another_audience_is_refused(
        self, authenticator: Authenticator, mint: TokenMint, audience: object
    ) -> None:
        await refuse(authenticator, mint(aud=audience))

    @pytest.mark.parametrize("other", ["https://attacker.example", "https://issuer.example/", ""])
    async def test_a_token_of_another_issuer_is_refused(
        self, authenticator: Authenticator, mint: TokenMint, other: str
    ) -> None:
        await refuse(authenticator, mint(iss=other))

    @pytest.mark.parametrize("token_use", ["refresh", "id", "", "ACCESS", ["access"], True])
    async def test_a_token_for_another_use_is_refused(
        self, authenticator: Authenticator, mint: TokenMint, token_use: object
    ) -> None:
        await refuse(authenticator, mint(token_use=token_use))

    @pytest.mark.parametrize("typ", ["JWT", "rt+jwt", "", None])
    async def test_another_type_of_token_is_refused(
        self, authenticator: Authenticator, mint: TokenMint, typ: str | None
    ) -> None:
        await refuse(authenticator, mint(header={"typ": typ}))

    async def test_an_unknown_kind_of_principal_is_refused(
        self, authenticator: Authenticator, mint: TokenMint
    ) -> None:
        await refuse(authenticator, mint(type="root"))

    @pytest.mark.parametrize("claim", REQUIRED_CLAIMS)
    async def test_a_token_that_lacks_a_claim_is_refused(
        self, authenticator: Authenticator, mint: TokenMint, claim: str
    ) -> None:
        await refuse(authenticator, mint(without={claim}))

    @pytest.mark.parametrize("claim", REQUIRED_CLAIMS)
    @pytest.mark.parametrize("value", [None, {"a": 1}, [None]], ids=["null", "object", "array"])
    async def test_a_claim_of_another_type_is_refused(
        self, authenticator: Authenticator, mint: TokenMint, claim: str, value: object
    ) -> None:
        wrong: dict[str, Any] = {claim: value}

        await refuse(authenticator, mint(**wrong))

    @pytest.mark.parametrize("expires", [1e300, 10**30, -1, True, "9999999999", float("inf"), float("nan")])
    async def test_an_impossible_expiry_is_refused(
        self, authenticator: Authenticator, mint: TokenMint, expires: object
    ) -> None:
        await refuse(authenticator, mint(exp=expires))

    @pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
    async def test_an_unsigned_token_is_refused(
        self, authenticator: Authenticator, mint: TokenMint, algorithm: str
    ) -> None:
        header = {"alg": algorithm, "kid": mint.kid, "typ": "at+jwt"}

        await refuse(authenticator, joined(header, mint.claims()))

    @pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
    async def test_the_public_key_is_no_signing_secret(
        self, authenticator: Authenticator, mint: TokenMint, encoding: Encoding
    ) -> None:
        public = mint.key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
        header = {"alg": "HS256", "kid": mint.kid, "typ": "at+jwt"}

        await refuse(authenticator, joined(header, mint.claims(), signing_secret=public))

    async def test_a_token_signed_with_another_key_is_refused(
        self, authenticator: Authenticator, mint: TokenMint
    ) -> None:
        await refuse(authenticator, mint(key=rsa_key("attacker")))

    async def test_a_token_that_names_an_unknown_key_is_refused(
        self, authenticator: Authenticator, mint: TokenMint
    ) -> None:
        await refuse(authenticator, mint(header={"kid": "attacker"}, key=rsa_key("attacker")))

    @pytest.mark.parametrize("kid", [None, "", "../../etc/passwd", "' OR 1=1 --"])
    async def test_a_token_that_names_no_real_key_is_refused(
        self, authenticator: Authenticator, mint: TokenMint, kid: str | None
    ) -> None:
        header = {"alg": "RS256", "kid": kid, "typ": "at+jwt"}

        await refuse(authenticator, joined(header, mint.claims(), signing_secret=b""))

    @pytest.mark.parametrize("kid", ["key-1", "attacker"])
    async def test_a_key_that_the_token_brings_itself_is_not_believed(
        self, authenticator: Authenticator, mint: TokenMint, kid: str
    ) -> None:
        attacker = rsa_key("attacker")

        await refuse(authenticator, mint(header={"kid": kid, "jwk": jwk(kid, attacker)}, key=attacker))

    async def test_changed_claims_break_the_signature(
        self, authenticator: Authenticator, mint: TokenMint
    ) -> None:
        header, _, signature = mint(scope="files:read").split(".")
        claims = base64url(json.dumps(mint.claims(scope="files:read admin")).encode())

        await refuse(authenticator, f"{header}.{claims}.{signature}")

    async def test_a_signature_cut_short_is_refused(
        self, authenticator: Authenticator, mint: TokenMint
    ) -> None:
        token = mint()

        await refuse(authenticator, token[:-4])

    @pytest.mark.parametrize(
        "token",
        [
            "",
            " ",
            ".",
            "..",
            "...",
            "garbage",
            "a.b.c",
            "e30.e30.",
            "Bearer e30.e30.e30",
            "токен",
            "\udc80\udcff",
            "\x00",
            "W10.W10.W10",
            "bnVsbA.bnVsbA.bnVsbA",
        ],
    )
    async def test_garbage_is_refused(self, authenticator: Authenticator, token: str) -> None:
        await refuse(authenticator, token)

    async def test_a_token_of_100_kilobytes_is_refused(
        self, authenticator: Authenticator, mint: TokenMint
    ) -> None:
        await refuse(authenticator, mint(name="x" * 75_000))

    async def test_a_refusal_does_not_repeat_the_token(
        self, authenticator: Authenticator, mint: TokenMint
    ) -> None:
        token = mint(sub="subject-of-the-token", exp=1)

        refusal = await refuse(authenticator, token)

        assert not any(part in repr(refusal) for part in [*token.split("."), "subject-of-the-token"])


async def authenticate(authenticator: Authenticator, token: str) -> Principal:
    """The principal that ``token`` proves."""
    return await authenticator.authenticate(Credentials(bearer_token=token))


async def refuse(authenticator: Authenticator, token: str) -> UnauthenticatedError:
    """The error that ``token`` is refused with; two attempts, for no refusal may be forgotten."""
    with pytest.raises(UnauthenticatedError):
        await authenticate(authenticator, token)
    with pytest.raises(UnauthenticatedError) as refusal:
        await authenticate(authenticator, token)
    return refusal.value
