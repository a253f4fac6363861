"""The root lease: at most one process changes what is in a root, whatever the storage is."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn

import orjson

from artstore.core.cancellation import end_if_cancelled
from artstore.core.config import ElementSettings
from artstore.core.logging import get_logger
from artstore.core.spec import (
    ArtStoreError,
    ConfigurationError,
    NotFoundError,
    StorageBackend,
    UnavailableError,
)
from artstore.services.storage_element.identity import IDENTITY_KEY, Identity, read_identity
from artstore.services.storage_element.lease_record import LEASE_KEY, Holder, LeaseRecord, now
from artstore.services.storage_element.small_objects import put_small, read_small

MARGIN: Final = 0.2
"""Part of its time that a holder leaves unused: what it began before must have ended when others come."""
SETTLING: Final = 0.5
"""Seconds after which two that took a lease at once see who was last; less for one of a few seconds."""
RENEWALS: Final = 3
"""How often a lease is renewed in its time; after a failure, ten times as often."""
RETRIES: Final = 10
_log: Final = get_logger("element")


class RootLease:
    """The right to change a root, as long as it is renewed in time.

    Time is that of a monotonic clock of each process. Who wants what another holds watches it for as long
    as it is valid: one that is renewed meanwhile is held, another is not. No conditional write is needed.
    """

    def __init__(self, storage: StorageBackend, holder: Holder, *, ttl: float, element_id: str) -> None:
        self.failures = 0
        self._storage = storage
        self._holder = holder
        self._ttl = ttl
        self._element_id = element_id
        self._fence = 0
        self._renewals = 0
        self._valid_until = 0.0
        self._is_mended = False
        self._unwritten: str | None = None
        self._successor: LeaseRecord | None = None

    @property
    def fence(self) -> int:
        """The number of this takeover."""
        return self._fence

    @property
    def is_held(self) -> bool:
        """Whether this process may serve changes at this moment."""
        return self._is_mended and self._is_valid

    @property
    def _is_valid(self) -> bool:
        return self._successor is None and now() < self._valid_until

    def check(self) -> None:
        """Refuse what would change the root while that is not our right.

        Raises:
            UnavailableError: saying why.
        """
        if self._successor is not None:
            raise UnavailableError("another process has taken over the storage root: restart this element")
        if not self.is_held:
            raise UnavailableError(
                f"the lease of the storage root ({LEASE_KEY}) could not be renewed in time: until it is, "
                "nothing is changed",
                retry_after=self._ttl,
            )

    def may_change(self, key: str) -> bool:
        """Whether the object at ``key`` may be changed at this moment."""
        return key == LEASE_KEY or self._is_valid

    async def probe(self) -> str:
        """For health.

        Raises:
            UnavailableError: it is not held.
        """
        self.check()
        return f"held, fence {self._fence}"

    async def probe_writing(self) -> str:
        """For health: whether the last renewal could be written. A certain lock holds the root without, too.

        Raises:
            UnavailableError: it could not.
        """
        if self._unwritten is not None:
            raise UnavailableError(f"nothing can be written to the storage root: {self._unwritten}")
        return f"{LEASE_KEY} was written"

    async def acquire(self, *, starts: int) -> None:
        """Take the lease, as soon as nobody can hold it; its fence is above ``starts``.

        Raises:
            ConfigurationError: it is held by another process.
        """
        raw = await self._read()
        found = None if raw is None else LeaseRecord.parse(raw)
        if raw is not None and (found is None or not await self._is_over(found)):
            await self._outlive(raw, found)
        await self._claim(max(starts, 0 if found is None else found.fence) + 1)

    async def keep(self) -> None:
        """Renew it until cancelled, or until another process has it."""
        failed = False
        while self._successor is None:
            end_if_cancelled()
            await asyncio.sleep(self._ttl / (RETRIES if failed else RENEWALS))
            try:
                await self._renew()
                failed = False
            except (ArtStoreError, ConfigurationError) as error:
                failed = True
                self._note_failure(str(error))
            except Exception as error:
                # Whatever it is: nothing is ever changed again in a root whose lease nobody renews.
                failed = True
                await asyncio.to_thread(self._note_failure, type(error).__name__, error=error)

    def _note_failure(self, reason: str, *, error: Exception | None = None) -> None:
        self.failures += 1
        _log.warning("lease_not_renewed", reason=reason, held=self.is_held, exc_info=error)

    async def release(self) -> None:
        """Finish, and let the next one begin at once."""
        if not self.is_held:
            return
        try:
            if (exclusive_use := self._storage.capabilities.exclusive_use) is not None:
                await exclusive_use.hand_over()
            await self._put(released=True)
        except ArtStoreError as error:
            _log.warning("lease_not_released", reason=error.detail)
        self._valid_until = 0.0

    async def _renew(self) -> None:
        begun = now()
        raw = await self._read()
        found = None if raw is None else LeaseRecord.parse(raw)
        if raw is None:
            await self._require_same_root()
        elif found is not None and self._is_overtaken_by(found):
            self._yield_to(found)
            return
        if self.is_held:
            await self._write()
            self._extend(begun)
        else:
            if raw is not None and not await self._is_exclusive():
                await self._outlive(raw, found)
            await self._claim(self._fence + 1)

    def _yield_to(self, successor: LeaseRecord) -> None:
        self._successor = successor
        _log.error("root_taken_over", by=str(successor.holder), fence=successor.fence, our_fence=self._fence)

    async def _claim(self, fence: int) -> None:
        begun = now()
        self._fence = fence
        await self._write()
        if not await self._is_exclusive():
            # Longer than anybody takes from seeing that nobody holds it to writing its own name (the
            # mutual exclusion of Fischer: Lamport, A fast mutual exclusion algorithm, 1987, section 2).
            await asyncio.sleep(max(min(SETTLING, self._ttl / 10), 2 * (now() - begun)))
            raw = await self._read()
            found = None if raw is None else LeaseRecord.parse(raw)
            if found is None or not self._is_mine(found):
                self._refuse(found)
        self._extend(begun)
        await self._mend()
        _log.info("lease_taken", fence=fence)

    async def _mend(self) -> None:
        """What an earlier process left is certainly nobody's now."""
        if not self._is_mended:
            if (exclusive_use := self._storage.capabilities.exclusive_use) is not None:
                await exclusive_use.take_over(self.may_change)
            self._is_mended = True

    def _extend(self, begun: float) -> None:
        """It is ours for a while from ``begun`` on, the moment before it was written."""
        self._valid_until = begun + self._ttl * (1 - MARGIN)

    async def _outlive(self, raw: bytes, found: LeaseRecord | None) -> None:
        """Wait until whoever wrote ``raw`` would have renewed it, or must have stopped.

        Raises:
            ConfigurationError: it is renewed.
        """
        ttl = self._ttl if found is None else found.ttl
        holder = "an unknown process" if found is None else str(found.holder)
        _log.warning("waiting_for_lease", holder=holder, seconds=ttl)
        end = now() + ttl
        while now() < end:
            await asyncio.sleep(ttl / RETRIES)
            if (present := await self._read()) != raw:
                self._refuse(None if present is None else LeaseRecord.parse(present))

    def _refuse(self, found: LeaseRecord | None) -> NoReturn:
        holder = "another process"
        if found is not None:
            holder = f"{found.holder} until {found.expires_at.isoformat(timespec='seconds')}"
        raise ConfigurationError(
            f"the storage root is in use by {holder}, which renews {LEASE_KEY} there: stop that, or choose "
            "another root in [storage]"
        )

    async def _is_over(self, found: LeaseRecord) -> bool:
        """Whether it is certain, without waiting, that nobody holds it."""
        if found.released:
            return True
        if found.holder.is_neighbour(self._holder):
            return not await asyncio.to_thread(found.holder.is_alive)
        # A disk of this host alone: who wrote it in another run of a kernel ended with that.
        return found.holder.boot_id != self._holder.boot_id and await self._is_exclusive()

    async def _is_exclusive(self) -> bool:
        exclusive_use = self._storage.capabilities.exclusive_use
        return exclusive_use is not None and await exclusive_use.is_certain()

    def _is_mine(self, found: LeaseRecord) -> bool:
        return (found.holder.nonce, found.fence) == (self._holder.nonce, self._fence)

    def _is_overtaken_by(self, found: LeaseRecord) -> bool:
        """One that is below ours is the last word of a process that we outlived, come late."""
        return found.fence >= self._fence and not self._is_mine(found)

    async def _require_same_root(self) -> None:
        """Whether the root that has no lease any more is ours, and not what was below a lost mount.

        Raises:
            UnavailableError: it is not.
        """
        try:
            found = Identity.model_validate(orjson.loads(await read_small(self._storage, IDENTITY_KEY)))
            is_same = found.element_id == self._element_id
        except (NotFoundError, ValueError):
            is_same = False
        if not is_same:
            self._valid_until = 0.0
            raise UnavailableError(
                f"the storage root has no {LEASE_KEY} and not our {IDENTITY_KEY} any more: is it unmounted?"
            )

    async def _read(self) -> bytes | None:
        try:
            return await read_small(self._storage, LEASE_KEY)
        except NotFoundError:
            return None

    async def _write(self) -> None:
        """Write it; a certain lock holds a root that is full or not writable just now, too."""
        try:
            await self._put()
            self._unwritten = None
        except ArtStoreError as error:
            self._unwritten = error.detail
            if not await self._is_exclusive():
                raise
            _log.warning("lease_not_written", reason=error.detail)

    async def _put(self, *, released: bool = False) -> None:
        self._renewals += 1
        record = LeaseRecord(
            holder=self._holder,
            fence=self._fence,
            renewals=self._renewals,
            ttl=self._ttl,
            expires_at=datetime.now(UTC) + timedelta(seconds=self._ttl),
            released=released,
        )
        await put_small(self._storage, LEASE_KEY, record.encode())


@asynccontextmanager
async def hold_root(storage: StorageBackend, settings: ElementSettings) -> AsyncGenerator[RootLease, None]:
    """The lease of the root, renewed in the background and released at the end.

    Raises:
        ConfigurationError: the root is another element's, or another process holds it.
    """
    identity = await read_identity(storage, settings)
    holder = await asyncio.to_thread(Holder.this_process)
    lease = RootLease(storage, holder, ttl=settings.lease_ttl, element_id=settings.element_id)
    await lease.acquire(starts=0 if identity is None else identity.starts)
    keeping = asyncio.create_task(lease.keep())
    try:
        yield lease
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        await lease.release()
