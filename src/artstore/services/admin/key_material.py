"""Private keys: made, or read from what an operator provides; and what is published of them."""

import base64
import hashlib
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import RSAAlgorithm
from pydantic import BaseModel

from artstore.core.spec import ConfigurationError
from artstore.core.stores.keys import SigningKey
from artstore.services.admin.master_key import MasterKey

ALGORITHM: Final = "RS256"
SMALLEST_KEY: Final = 2048
LARGEST_KEY: Final = 4096
"""Bits. One of 3072 signs at a third of the rate of one of 2048 (measured)."""

PROVIDED_KEY: Final = "signing-key"
"""Name of the secret with which an operator provides the key: PEM, or the path of a PEM file."""

_PEM: Final = b"-----BEGIN"


class JsonWebKey(BaseModel):
    """The public half of a signing key (RFC 7517)."""

    kty: Literal["RSA"] = "RSA"
    use: Literal["sig"] = "sig"
    alg: Literal["RS256"] = ALGORITHM
    kid: str
    n: str
    e: str

    @property
    def size(self) -> int:
        """Bits of the modulus."""
        padding = "=" * (-len(self.n) % 4)
        return len(base64.urlsafe_b64decode(self.n + padding)) * 8


def generate_key(size: int) -> RSAPrivateKey:
    """A key nobody has had before. Takes a tenth of a second or several: call it in a thread."""
    return generate_private_key(public_exponent=65537, key_size=size)


def read_key(secret: bytes) -> RSAPrivateKey:
    """The key that a secret holds, or the file that it names. Reads the disk: call it in a thread.

    Raises:
        ConfigurationError: it is no private RSA key that is strong enough, or others can read its file.
    """
    pem = secret.strip()
    if not pem.startswith(_PEM):
        pem = _read_file(pem.decode(errors="replace"))
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _unusable("is not a private key in PEM without a password") from None
    if not isinstance(key, RSAPrivateKey) or not SMALLEST_KEY <= key.key_size <= LARGEST_KEY:
        raise _unusable(f"is not an RSA key of {SMALLEST_KEY} to {LARGEST_KEY} bits")
    return key


def signing_key(private_key: RSAPrivateKey, master_key: MasterKey, *, signs_from: datetime) -> SigningKey:
    """``private_key`` as it is kept."""
    public = public_key(private_key)
    return SigningKey(
        kid=public.kid,
        algorithm=ALGORITHM,
        public_jwk=public.model_dump_json(),
        private_key_encrypted=master_key.encrypt(private_key, kid=public.kid),
        created_at=datetime.now(UTC),
        signs_from=signs_from,
    )


def public_key(private_key: RSAPrivateKey) -> JsonWebKey:
    """With its thumbprint (RFC 7638) as key id, which no other key can have."""
    numbers = RSAAlgorithm.to_jwk(private_key.public_key(), as_dict=True)
    members = {"e": numbers["e"], "kty": "RSA", "n": numbers["n"]}
    thumbprint = hashlib.sha256(orjson.dumps(members, option=orjson.OPT_SORT_KEYS)).digest()
    kid = base64.urlsafe_b64encode(thumbprint).decode().rstrip("=")
    return JsonWebKey(kid=kid, n=numbers["n"], e=numbers["e"])


def _read_file(name: str) -> bytes:
    path = Path(name)
    # A secret that is no path must not be shown as if it were one.
    if not path.is_absolute() or "\n" in name:
        raise _unusable("is neither PEM nor the absolute path of a PEM file")
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise _unusable(f"names {path}, which others can read: chmod 600 {path}")
        return path.read_bytes()
    except OSError as error:
        raise _unusable(f"names {path}, which cannot be read: {error.strerror}") from None


def _unusable(why: str) -> ConfigurationError:
    return ConfigurationError(f"secret {PROVIDED_KEY!r} {why}")
