"""The master key: private keys are encrypted under it before they are kept in the database."""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from artstore.core.spec import ConfigurationError

MASTER_KEY: Final = "master-key"
"""Name of the secret."""

_FORMAT: Final = b"\x01"
_NONCE_SIZE: Final = 12  # bytes; NIST SP 800-38D section 8.2.1
_PURPOSE: Final = b"artstore signing keys"


class MasterKey:
    """Encrypts with AES-256-GCM under a key that is derived from a secret (HKDF, RFC 5869).

    The key id is authenticated with the key: one cannot be passed off as another. Both methods block
    for milliseconds: call them in a thread.
    """

    def __init__(self, secret: bytes) -> None:
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret)
        self._cipher = AESGCM(derived)

    def encrypt(self, private_key: RSAPrivateKey, *, kid: str) -> bytes:
        """``private_key`` as it may be kept anywhere: format byte, nonce, ciphertext."""
        plain = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        nonce = os.urandom(_NONCE_SIZE)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, plain, kid.encode())

    def decrypt(self, encrypted: bytes, *, kid: str) -> RSAPrivateKey:
        """What :meth:`encrypt` was given.

        Raises:
            ConfigurationError: it was encrypted under another master key, or has been altered.
        """
        nonce, sealed = encrypted[1 : 1 + _NONCE_SIZE], encrypted[1 + _NONCE_SIZE :]
        try:
            if not encrypted.startswith(_FORMAT):
                raise InvalidTag
            plain = self._cipher.decrypt(nonce, sealed, kid.encode())
        except (InvalidTag, ValueError):
            raise ConfigurationError(
                f"signing key {kid} in the database cannot be decrypted: secret {MASTER_KEY!r} is not the "
                "one it was encrypted under; restore that secret, or delete the rows of signing_keys to have "
                "a new key made, which ends all current tokens"
            ) from None
        private_key = load_der_private_key(plain, password=None)
        assert isinstance(private_key, RSAPrivateKey), "only RSA keys are ever encrypted"
        return private_key
