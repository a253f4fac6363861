"""A storage element at work: what every use case is given."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from uuid import UUID

from artstore.core import modes
from artstore.core.config import ElementSettings
from artstore.core.exchange import Capacity
from artstore.core.http.verification import RecentlyVerified
from artstore.core.modes import Mode, Operation
from artstore.core.spec import StorageBackend
from artstore.services.storage_element.activity import Activity
from artstore.services.storage_element.agreement import agreed, require_free, require_usable
from artstore.services.storage_element.catalog import Catalog
from artstore.services.storage_element.catalog_records import Committed, existing
from artstore.services.storage_element.clock import Clock
from artstore.services.storage_element.fixity import Fixity
from artstore.services.storage_element.identity import Identity, RootIdentity
from artstore.services.storage_element.jobs import Jobs
from artstore.services.storage_element.lease import RootLease
from artstore.services.storage_element.locks import FileLocks
from artstore.services.storage_element.metrics import ElementMetrics
from artstore.services.storage_element.proposals import Proposals
from artstore.services.storage_element.recovery import Recovery
from artstore.services.storage_element.restores import Restores
from artstore.services.storage_element.room import Room
from artstore.services.storage_element.trusted_time import TrustedTime


@dataclass(frozen=True, slots=True)
class Element:
    """One element on one root. Nothing changes ``storage`` without ``lease``."""

    root: RootIdentity
    settings: ElementSettings
    storage: StorageBackend
    storage_type: str
    catalog: Catalog
    room: Room
    locks: FileLocks
    recovery: Recovery
    lease: RootLease
    metrics: ElementMetrics
    activity: Activity
    jobs: Jobs
    proposals: Proposals
    restores: Restores
    verified: RecentlyVerified
    clock: Clock
    fixity: Fixity
    time: TrustedTime

    @asynccontextmanager
    async def changing(self, file_id: UUID, operation: Operation) -> AsyncGenerator[Committed | None, None]:
        """What is known of a file that nobody else changes meanwhile.

        An earlier change that was interrupted, and could not be settled then, is settled now.

        Raises:
            ModeNotAllowedError: as :meth:`check`.
            SidecarDiffersError: the storage has another sidecar than the catalog knows.
            AlreadyExistsError: a file is to be created whose sidecar is there, but cannot be used.
            CorruptedError: a file is to be changed whose sidecar could not be used.
        """
        with self.performing(operation):
            async with self.locks[file_id]:
                if (leftover := self.catalog.pending.get(file_id)) is not None:
                    await self.recovery.settle(leftover)
                yield await self._agreed(file_id, operation)

    async def existing(self, file_id: UUID) -> Committed:
        """What is known of a file that is there.

        Raises:
            NotFoundError: it never was, or is deleted.
            CorruptedError: its sidecar could not be used.
        """
        if (known := await self.catalog.get(file_id)) is None:
            await require_usable(self.catalog, file_id)
        return existing(known, file_id)

    @contextmanager
    def performing(self, operation: Operation) -> Generator[None, None, None]:
        """An operation that the mode allows. It is under way until the context ends: a change to a mode that
        does not allow it waits for that.

        Raises:
            ModeNotAllowedError: as :meth:`check`.
        """
        self.check(operation)
        self.activity.begin(operation)
        try:
            yield
        finally:
            self.activity.end(operation)

    @property
    def identity(self) -> Identity:
        """What the root says of itself now."""
        return self.root.now

    @property
    def element_id(self) -> str:
        return self.identity.element_id

    @property
    def mode(self) -> Mode:
        return self.identity.mode

    @property
    def max_file_size(self) -> int:
        """Bytes: what is configured, or less where the storage takes less."""
        limit = self.storage.capabilities.max_object_size
        return self.settings.max_file_size if limit is None else min(limit, self.settings.max_file_size)

    async def look_at_space(self) -> Capacity:
        """The space as it is now; metrics show it too."""
        capacity = await self.room.refresh()
        self.metrics.show_capacity(capacity)
        return capacity

    def check(self, operation: Operation) -> None:
        """Refuse what the mode does not allow, or the one that is being changed to.

        Raises:
            ModeNotAllowedError: naming the element, the mode and the operation.
        """
        modes.check(self.mode, operation, element_id=self.element_id)
        change = self.catalog.pending.get(None)
        if change is not None and change.mode is not None:
            modes.check(change.mode, operation, element_id=self.element_id)

    async def _agreed(self, file_id: UUID, operation: Operation) -> Committed | None:
        if (known := await self.catalog.get(file_id)) is not None:
            await agreed(self.storage, known)
        elif operation == "create":
            await require_free(self.catalog, self.storage, file_id)
        else:
            await require_usable(self.catalog, file_id)
        return known
