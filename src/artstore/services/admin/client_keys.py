"""Public keys with which clients prove themselves without a secret (RFC 7523)."""

import json
import secrets
from typing import Annotated, Any, Final, Self

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

ALGORITHMS: Final[dict[str, tuple[str, ...]]] = {
    "RSA": ("RS256", "PS256"),
    "EC": ("ES256",),
    "OKP": ("EdDSA",),
}
"""What a key of each type may sign with. Each key is good for nothing else."""

SUPPORTED: Final = tuple(algorithm for names in ALGORITHMS.values() for algorithm in names)
MAX_KEYS: Final = 5
"""Enough to replace one while others are in use."""

SMALLEST_RSA: Final = 2048
LARGEST_RSA: Final = 4096
_CURVES: Final = {"EC": "P-256", "OKP": "Ed25519"}
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})
Jwk = dict[str, JsonValue]


class ClientKeySet(BaseModel):
    """A JWK set of public keys (RFC 7517)."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    keys: Annotated[list[Jwk], Field(min_length=1, max_length=MAX_KEYS)]

    @field_validator("keys")
    @classmethod
    def _check_keys(cls, keys: list[Jwk]) -> list[Jwk]:
        for position, key in enumerate(keys):
            if (fault := _fault(key)) is not None:
                raise ValueError(f"key {position} {fault}")
        return keys

    @model_validator(mode="after")
    def _check_ids(self) -> Self:
        if len({str(key["kid"]) for key in self.keys}) < len(self.keys):
            raise ValueError("two keys have the same kid")
        return self


def find_key(jwks: str, *, kid: object, algorithm: object) -> Jwk | None:
    """Of a set that was valid when it was kept, the key of this name, if it is for this algorithm."""
    keys: list[Jwk] = json.loads(jwks)["keys"]
    return next((key for key in keys if key["kid"] == kid and algorithm in ALGORITHMS[str(key["kty"])]), None)


def verification(key: Jwk) -> tuple[Any, tuple[str, ...]]:
    """A key of a valid set, ready to verify, and the algorithms it is for."""
    algorithms = ALGORITHMS[str(key["kty"])]
    return jwt.PyJWK.from_dict(key, algorithm=algorithms[0]).key, algorithms


def _fault(key: Jwk) -> str | None:
    """What is wrong with a key, without its values: somebody may send a private one by mistake."""
    kid, kty = key.get("kid"), key.get("kty")
    if _PRIVATE & key.keys():
        return "is a private key: send its public half, and replace the key, which is known now"
    if not isinstance(kid, str) or not 1 <= len(kid) <= 256:
        return "has no kid of 1 to 256 characters"
    if not isinstance(kty, str) or kty not in ALGORITHMS:
        return f"is of none of the types {', '.join(ALGORITHMS)}"
    if key.get("crv") != _CURVES.get(kty):
        return f"is not on the curve {_CURVES.get(kty)}"
    if key.get("use", "sig") != "sig":
        return "is not for signatures"
    try:
        public, _ = verification(key)
    except (jwt.PyJWTError, ValueError, TypeError):
        return "is not a key"
    if isinstance(public, RSAPublicKey) and not SMALLEST_RSA <= public.key_size <= LARGEST_RSA:
        return f"has not {SMALLEST_RSA} to {LARGEST_RSA} bits"
    return None


def _nobodys_keys() -> list[Jwk]:
    """One of each type. For RSA a number will do: nobody has to sign with it."""
    modulus = secrets.randbits(SMALLEST_RSA) | 1 << (SMALLEST_RSA - 1) | 1
    return [
        RSAAlgorithm.to_jwk(RSAPublicNumbers(65537, modulus).public_key(), as_dict=True),
        ECAlgorithm.to_jwk(generate_private_key(SECP256R1()).public_key(), as_dict=True),
        OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate().public_key(), as_dict=True),
    ]


_NOBODYS: Final = _nobodys_keys()
NOBODYS_KEYS: Final = {name: key for key in _NOBODYS for name in ALGORITHMS[str(key["kty"])]}
"""By algorithm: what is verified with, in vain and for as long, where a client has no key of its own."""

NOBODYS_JWKS: Final = json.dumps({"keys": [{**key, "kid": secrets.token_hex()} for key in _NOBODYS]})
"""What is looked through in place of the keys of a client that has none."""
