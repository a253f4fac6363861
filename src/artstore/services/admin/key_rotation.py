"""Replaces the signing key from time to time, early enough that every verifier knows the next one."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from artstore.core.audit.trail import AuditTrail
from artstore.core.config import SigningKeySettings
from artstore.core.logging import get_logger
from artstore.core.secrets import SecretsChain
from artstore.core.spec import ArtStoreError, ConfigurationError, UnsupportedError
from artstore.core.stores.keys import KeysStore, SigningKey
from artstore.core.stores.leases import Lease
from artstore.services.admin.key_material import PROVIDED_KEY, generate_key, public_key, read_key, signing_key
from artstore.services.admin.key_metrics import KeyMetrics
from artstore.services.admin.master_key import MasterKey
from artstore.services.admin.signing_keys import SigningKeys

CHECK_INTERVAL: Final = 5.0
"""Seconds between two looks at whether there is something to do, at most."""
OVERLAP: Final = timedelta(hours=1)
"""For how long a key verifies beyond the last token it can have signed."""
HISTORY: Final = timedelta(days=90)
"""For how long it is known what an expired key was; its private half goes at once."""

_log = get_logger("key-rotation")


class KeyRotation:
    """Makes the next key, publishes it, and lets it sign when every verifier has had time to fetch it.

    The next key and the end of the present one are one transaction: whatever is killed in between, one
    key signs, and whatever it signed verifies. Keys that an operator provides take their turn in the same
    way; while there is such a key, none are made.
    """

    def __init__(
        self,
        store: KeysStore,
        keys: SigningKeys,
        master_key: MasterKey,
        *,
        chain: SecretsChain,
        settings: SigningKeySettings,
        token_lifetime: timedelta,
        metrics: KeyMetrics,
        trail: AuditTrail | None = None,
    ) -> None:
        self._trail = trail
        self._store = store
        self._keys = keys
        self._master_key = master_key
        self._chain = chain
        self._settings = settings
        self._verifies_for = token_lifetime + OVERLAP
        self._metrics = metrics
        self._failure: str | None = None
        metrics.watch(lambda: keys.loaded)

    @property
    def lead(self) -> timedelta:
        """From the publication of a key to its first signature.

        Verifiers keep the keys for as long as they are told to, and processes of admin for as long as they
        believe what they have read; both may just have looked.
        """
        return timedelta(seconds=self._settings.jwks_lifetime + 2 * self._settings.refresh_interval)

    @property
    def period(self) -> timedelta:
        return timedelta(seconds=self._settings.rotation_period)

    async def open(self) -> None:
        """Make sure that there is a key, and load all.

        Raises:
            ConfigurationError: a key cannot be decrypted, or what the operator provides is none.
        """
        provided = await self.provided()
        if await self._keys.is_needed():
            made = await self._keys.add_first(provided or await self._generate())
            if made is not None and self._trail is not None:
                self._trail.add_event("signing_key_made", kid=made)
        await self._keys.open()

    async def run(self, lease: Lease) -> None:
        """Rotate when it is time, until cancelled."""
        while True:
            await self._take_turn()
            await asyncio.sleep(min(CHECK_INTERVAL, self.period.total_seconds() / 4))

    async def provided(self) -> RSAPrivateKey | None:
        """The key that the operator provides; ``None`` where keys are made here.

        Raises:
            ConfigurationError: what is provided is no key.
        """
        secret = await self._chain.get(PROVIDED_KEY)
        return None if secret is None else await asyncio.to_thread(read_key, secret.value)

    async def rotate(self) -> SigningKey:
        """Make the next key now; the one that waits already, if there is one.

        Raises:
            UnsupportedError: the operator provides the keys.
        """
        if await self.provided() is not None:
            raise UnsupportedError(
                f"the signing key comes from the secret {PROVIDED_KEY}: replace that secret to rotate it"
            )
        return await self._rotate_to(await self._generate())

    async def withdraw(self, kid: str) -> None:
        """Let a key neither sign nor verify any more, from this moment on: others may have it.

        Raises:
            NotFoundError: there is no such key.
        """
        now = datetime.now(UTC)
        instead = await asyncio.to_thread(
            signing_key, await self._successor(), self._master_key, signs_from=now
        )
        if await self._store.withdraw(kid, now=now, instead=instead):
            _log.warning("signing_key_withdrawn", kid=kid)
            if self._trail is not None:
                self._trail.add_event("signing_key_withdrawn", kid=kid)
        await self._keys.look()

    async def _successor(self) -> RSAPrivateKey:
        """What the operator provides, unless it has been a key before."""
        known = {key.kid for key in await self._store.list()}
        with suppress(ArtStoreError, ConfigurationError):  # told elsewhere; a withdrawal must not wait for it
            provided = await self.provided()
            if provided is not None and public_key(provided).kid not in known:
                return provided
        return await self._generate()

    async def _take_turn(self) -> None:
        """A turn that fails is one that comes late: what signs now goes on signing."""
        try:
            await self._rotate_if_due()
            await self._store.forget(now=datetime.now(UTC), history=HISTORY)
        except (ArtStoreError, ConfigurationError) as error:
            self._metrics.rotations.labels("failure").inc()
            if str(error) != self._failure:
                _log.error("key_not_rotated", reason=str(error))
            self._failure = str(error)
        else:
            self._failure = None

    async def _rotate_if_due(self) -> None:
        keys = await self._store.list()
        newest = newest_of(keys)
        provided = await self.provided()
        if provided is not None:
            kid = public_key(provided).kid
            if kid in {key.kid for key in keys if key.withdrawn_at is not None}:
                raise ConfigurationError(
                    f"the secret {PROVIDED_KEY} has key {kid}, which was withdrawn: put another key there"
                )
            if kid != newest.kid:
                await self._rotate_to(provided)
        elif datetime.now(UTC) >= newest.signs_from + self.period - self.lead:
            await self._rotate_to(await self._generate(), not_before=newest.signs_from + self.period)

    async def _generate(self) -> RSAPrivateKey:
        return await asyncio.to_thread(generate_key, self._settings.size)

    async def _rotate_to(
        self, private_key: RSAPrivateKey, *, not_before: datetime | None = None
    ) -> SigningKey:
        earliest = datetime.now(UTC) + self.lead
        signs_from = max(earliest, not_before or earliest)
        key = await asyncio.to_thread(signing_key, private_key, self._master_key, signs_from=signs_from)
        rotated = await self._store.rotate(key, now=datetime.now(UTC), verifies_for=self._verifies_for)
        if rotated.kid == key.kid:
            self._metrics.rotations.labels("success").inc()
            _log.info("signing_key_rotated", kid=key.kid, signs_from=signs_from.isoformat())
            if self._trail is not None:
                self._trail.add_event("signing_key_rotated", kid=key.kid, signs_from=signs_from.isoformat())
        await self._keys.look()
        return rotated


def newest_of(keys: Sequence[SigningKey]) -> SigningKey:
    """The key that signs last, as far as is known."""
    return next(key for key in keys if key.withdrawn_at is None)
