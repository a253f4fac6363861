"""The keys that sign access tokens: made at the first start, kept encrypted, published as a JWK set."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from pydantic import BaseModel

from artstore.core.attribute_fields import format_timestamp
from artstore.core.logging import get_logger
from artstore.core.spec import ConfigurationError, UnavailableError
from artstore.core.stores.keys import KeysStore, SigningKey
from artstore.services.admin.key_material import JsonWebKey, public_key, signing_key
from artstore.services.admin.key_models import KeyState
from artstore.services.admin.master_key import MasterKey

REFRESH_INTERVAL: Final = 5.0
"""Seconds for which the keys are believed before the database is asked again, at most."""

_log = get_logger("signing-keys")


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

    @property
    def state(self) -> KeyState:
        return state_of(self.row)


class SigningKeys:
    """The keys of this cluster. Keys that other processes add are noticed within ``refresh_interval``.

    What is published is computed from the private keys, not read from the database: whoever can write
    there, but does not know the master key, cannot make verifiers believe in a key of their own.
    """

    def __init__(
        self, store: KeysStore, master_key: MasterKey, *, refresh_interval: float = REFRESH_INTERVAL
    ) -> None:
        self._store = store
        self._master_key = master_key
        self.refresh_interval = refresh_interval
        self._keys: dict[str, LoadedKey] = {}
        self._refused: dict[str, ConfigurationError] = {}
        self._fresh_until = 0.0
        self._reading = asyncio.Lock()

    @property
    def loaded(self) -> Sequence[LoadedKey]:
        """Those that are published, as far as this process knows."""
        return list(self._keys.values())

    async def is_needed(self) -> bool:
        """Whether there is no key that signs on and on: at the first start, on a new database."""
        return not any(row.signs_until is None for row in await self._store.list())

    async def add_first(self, private_key: RSAPrivateKey) -> str | None:
        """Sign with a key from now on, where none is there; on one process however many start at once.

        The id of the key, or ``None`` where another process was first.
        """
        now = datetime.now(UTC)
        key = await asyncio.to_thread(signing_key, private_key, self._master_key, signs_from=now)
        if not await self._store.add_first(key):
            return None
        _log.info("signing_key_made", kid=key.kid)
        return key.kid

    async def open(self) -> None:
        """Load the keys.

        Raises:
            ConfigurationError: a key cannot be decrypted.
        """
        await self._read()
        for refusal in self._refused.values():
            raise refusal

    async def current(self) -> LoadedKey:
        """The key that signs now.

        Raises:
            UnavailableError: there is none.
        """
        await self.refresh()
        signing = [key for key in self._keys.values() if key.state == "signing"]
        if not signing:
            raise UnavailableError(self._why_none_signs())
        return max(signing, key=lambda key: (key.row.signs_from, key.kid))

    async def published(self) -> JsonWebKeySet:
        """What verifiers need: also keys that do not sign yet, or no longer."""
        await self.refresh()
        return JsonWebKeySet(keys=[key.public for key in self._keys.values()])

    def _why_none_signs(self) -> str:
        """A clock that was set back leaves keys that all begin to sign later."""
        waiting = [key.row.signs_from for key in self._keys.values() if key.state == "waiting"]
        if not waiting:
            return "there is no key to sign with at this moment"
        return f"no key signs before {format_timestamp(min(waiting))}: is the clock of admin right?"

    async def look(self) -> None:
        """Take note of a change at once."""
        async with self._reading:
            await self._read()

    async def refresh(self) -> None:
        """Take note of what other processes have changed, unless that was done a moment ago."""
        if self._is_fresh():
            return
        async with self._reading:
            if self._is_fresh():  # somebody else has read them while we waited
                return
            try:
                await self._read()
            except UnavailableError:
                # Keys seldom change: those known are better than none while the database is away.
                self._fresh_until = time.monotonic() + self.refresh_interval

    def _is_fresh(self) -> bool:
        return time.monotonic() < self._fresh_until

    async def _read(self) -> None:
        rows = [row for row in await self._store.list() if state_of(row) not in ("expired", "withdrawn")]
        keys = [await self._loaded(row) for row in rows]
        self._keys = {key.kid: key for key in keys if key is not None}
        self._fresh_until = time.monotonic() + self.refresh_interval

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


def state_of(row: SigningKey) -> KeyState:
    """What the key does at this moment."""
    now = datetime.now(UTC)
    if row.withdrawn_at is not None:
        return "withdrawn"
    if row.expires_at is not None and row.expires_at <= now:
        return "expired"
    if row.signs_from > now:
        return "waiting"
    return "signing" if row.signs_until is None or now < row.signs_until else "verifying"


def _load(row: SigningKey, master_key: MasterKey) -> LoadedKey:
    private_key = master_key.decrypt(row.private_key_encrypted, kid=row.kid)
    return LoadedKey(row, private_key, public_key(private_key))
