"""The keys that sign access tokens: made at the first start, kept encrypted, published as a JWK set."""

import asyncio
import base64
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Literal

import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm
from pydantic import BaseModel

from artstore.core.logging import get_logger
from artstore.core.spec import ConfigurationError, UnavailableError
from artstore.core.stores.keys import KeysStore, SigningKey
from artstore.services.admin.master_key import MasterKey

ALGORITHM: Final = "RS256"
KEY_SIZE: Final = 2048
"""Bits. A key of 3072 signs at a third of the rate (measured)."""

REFRESH_INTERVAL: Final = 5.0
"""Seconds for which the keys are believed before the database is asked again."""

_log = get_logger("signing-keys")


class JsonWebKey(BaseModel):
    """The public half of a signing key (RFC 7517)."""

    kty: Literal["RSA"] = "RSA"
    use: Literal["sig"] = "sig"
    alg: Literal["RS256"] = ALGORITHM
    kid: str
    n: str
    e: str


class JsonWebKeySet(BaseModel):
    """Every key that verifies a token now."""

    keys: list[JsonWebKey]


@dataclass(frozen=True, slots=True)
class LoadedKey:
    """A signing key, decrypted and parsed once: parsing costs more than signing."""

    row: SigningKey
    private_key: RSAPrivateKey = field(repr=False)
    public: JsonWebKey

    @property
    def kid(self) -> str:
        return self.row.kid

    def signs(self, now: datetime) -> bool:
        return self.row.signs_from <= now and (self.row.signs_until is None or now < self.row.signs_until)


class SigningKeys:
    """The keys of this cluster. Keys that other processes add are noticed within seconds.

    What is published is computed from the private keys, not read from the database: whoever can write
    there, but does not know the master key, cannot make verifiers believe in a key of their own.
    """

    def __init__(self, store: KeysStore, master_key: MasterKey) -> None:
        self._store = store
        self._master_key = master_key
        self._keys: dict[str, LoadedKey] = {}
        self._refused: dict[str, ConfigurationError] = {}
        self._fresh_until = 0.0
        self._reading = asyncio.Lock()

    async def open(self) -> None:
        """Load the keys; make one where there is none, on one process however many start at once.

        Raises:
            ConfigurationError: a key cannot be decrypted.
        """
        if not any(row.signs_until is None for row in await self._store.list()):
            key = await asyncio.to_thread(new_key, self._master_key)
            if await self._store.add_first(key):
                _log.info("signing_key_made", kid=key.kid)
        await self._read()
        for refusal in self._refused.values():
            raise refusal

    async def current(self) -> LoadedKey:
        """The key that signs now.

        Raises:
            UnavailableError: there is none.
        """
        await self._refresh()
        now = datetime.now(UTC)
        signing = [key for key in self._keys.values() if key.signs(now)]
        if not signing:
            raise UnavailableError("there is no key to sign with at this moment")
        return max(signing, key=lambda key: (key.row.signs_from, key.kid))

    async def published(self) -> JsonWebKeySet:
        """What verifiers need: also keys that do not sign yet, or no longer."""
        await self._refresh()
        return JsonWebKeySet(keys=[key.public for key in self._keys.values()])

    async def _refresh(self) -> None:
        if self._is_fresh():
            return
        async with self._reading:
            if self._is_fresh():  # somebody else has read them while we waited
                return
            try:
                await self._read()
            except UnavailableError:
                # Keys seldom change: those known are better than none while the database is away.
                self._fresh_until = time.monotonic() + REFRESH_INTERVAL

    def _is_fresh(self) -> bool:
        return time.monotonic() < self._fresh_until

    async def _read(self) -> None:
        keys = [await self._loaded(row) for row in _not_expired(await self._store.list())]
        self._keys = {key.kid: key for key in keys if key is not None}
        self._fresh_until = time.monotonic() + REFRESH_INTERVAL

    async def _loaded(self, row: SigningKey) -> LoadedKey | None:
        if (known := self._keys.get(row.kid)) is not None:
            return replace(known, row=row)
        if row.kid in self._refused:
            return None
        try:
            return await asyncio.to_thread(_load, row, self._master_key)
        except ConfigurationError as error:
            self._refused[row.kid] = error
            _log.error("signing_key_refused", kid=row.kid, reason=str(error))
            return None


def new_key(master_key: MasterKey) -> SigningKey:
    """A key that signs from now on. Takes a tenth of a second or several: call it in a thread."""
    private_key = generate_private_key(public_exponent=65537, key_size=KEY_SIZE)
    public = _public(private_key)
    now = datetime.now(UTC)
    return SigningKey(
        kid=public.kid,
        algorithm=ALGORITHM,
        public_jwk=public.model_dump_json(),
        private_key_encrypted=master_key.encrypt(private_key, kid=public.kid),
        created_at=now,
        signs_from=now,
    )


def _not_expired(rows: Sequence[SigningKey]) -> list[SigningKey]:
    now = datetime.now(UTC)
    return [row for row in rows if row.expires_at is None or row.expires_at > now]


def _load(row: SigningKey, master_key: MasterKey) -> LoadedKey:
    private_key = master_key.decrypt(row.private_key_encrypted, kid=row.kid)
    return LoadedKey(row, private_key, _public(private_key))


def _public(private_key: RSAPrivateKey) -> JsonWebKey:
    """With its thumbprint (RFC 7638) as key id, which no other key can have."""
    numbers = RSAAlgorithm.to_jwk(private_key.public_key(), as_dict=True)
    members = {"e": numbers["e"], "kty": "RSA", "n": numbers["n"]}
    thumbprint = hashlib.sha256(orjson.dumps(members, option=orjson.OPT_SORT_KEYS)).digest()
    kid = base64.urlsafe_b64encode(thumbprint).decode().rstrip("=")
    return JsonWebKey(kid=kid, n=numbers["n"], e=numbers["e"])
