"""Reads a JWK set (RFC 7517): which of its keys may verify a token, and how long it stays fresh."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm
from pydantic import BaseModel, Field, JsonValue, ValidationError

SMALLEST_KEY: Final = 2048
"""Bits of the modulus; RFC 7518 section 3.3 requires as much for RS256."""

_Base64Url = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]


class JwkSet(BaseModel):
    """The document. Keys are read one by one: a bad one must not take the good ones away."""

    keys: list[JsonValue]


class RsaSigningKey(BaseModel):
    """An RSA key for RS256 signatures. The lengths bound what one verification can cost."""

    kty: Literal["RSA"]
    kid: Annotated[str, Field(min_length=1, max_length=256)]
    n: Annotated[_Base64Url, Field(max_length=1366, description="At most 8192 bits.")]
    e: Annotated[_Base64Url, Field(max_length=11, description="At most 64 bits.")]
    use: Literal["sig"] = "sig"
    alg: Literal["RS256"] = "RS256"

    def public_key(self) -> RSAPublicKey:
        """The key, ready to verify.

        Raises:
            ValueError: the numbers are not a key, or not a strong one.

        """
        key = RSAAlgorithm.from_jwk({"kty": "RSA", "n": self.n, "e": self.e})
        assert isinstance(key, RSAPublicKey), "there is no private part to read"
        if key.key_size < SMALLEST_KEY:
            raise ValueError(f"the key has {key.key_size} bits, fewer than {SMALLEST_KEY}")
        return key


def read_jwk_set(document: bytes) -> tuple[dict[str, RSAPublicKey], list[str]]:
    """The usable keys by ``kid``, and for each other key why it was refused.

    Raises:
        ValueError: the document is not a JWK set.

    """
    keys: dict[str, RSAPublicKey] = {}
    refusals: list[str] = []
    for position, member in enumerate(JwkSet.model_validate_json(document).keys):
        try:
            jwk = RsaSigningKey.model_validate(member)
            # The first of two keys with one name stays: which is meant cannot be known.
            keys.setdefault(jwk.kid, jwk.public_key())
        except ValidationError as error:
            refusals.append(f"key {position}: {'; '.join(_complaints(error))}")
        except ValueError as error:
            refusals.append(f"key {position}: {error}")
    return keys, refusals


def _complaints(error: ValidationError) -> Iterator[str]:
    """What is wrong, without the values: who publishes a private key by mistake must not find it here."""
    for complaint in error.errors(include_url=False, include_context=False, include_input=False):
        yield f"{'.'.join(map(str, complaint['loc']))}: {complaint['msg']}"


def freshness_lifetime(cache_control: str, *, default: float) -> float:
    """Seconds for which a response with this ``Cache-Control`` may be used (RFC 9111 section 4.2.1)."""
    directives = [directive.strip().lower() for directive in cache_control.split(",")]
    if "no-store" in directives or "no-cache" in directives:
        return 0
    for directive in directives:
        name, _, value = directive.partition("=")
        if name == "max-age" and (age := value.strip('"')).isdecimal():
            return float(age)
    return default
