"""Builds the catalog again from the sidecars: all it ever says is what they say.

The new one is built beside the one that serves, in transactions of a moment, and takes its place in one more.
How far it has come is kept with it, so that a rebuild that was interrupted goes on.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final, Self

from pydantic import BaseModel

from artstore.core.attribute_fields import format_timestamp
from artstore.core.inspection import (
    LACKING_FREE,
    MAX_EXAMPLES,
    PART_FREE,
    Example,
    RebuildStatus,
    SidecarFault,
    WorkState,
)
from artstore.core.logging import get_logger
from artstore.core.spec import Database, PreconditionFailedError, StorageBackend, Transaction
from artstore.core.stores.rows import count
from artstore.services.storage_element.catalog_schema import (
    begin_log,
    begin_next,
    drop_next,
    drop_old,
    put_next_in_place,
)
from artstore.services.storage_element.catalog_work import load_work, save_work
from artstore.services.storage_element.identity import RootIdentity
from artstore.services.storage_element.next_catalog import (
    add,
    carry_over,
    lacking,
    put_unusable,
    remove_forgotten,
)
from artstore.services.storage_element.sidecars import (
    SidecarBatch,
    Unusable,
    ahead,
    read_sidecars,
    sidecar_keys,
)

NAME: Final = "rebuild"
BATCH_SIZE: Final = 500
"""Sidecars per transaction: writers wait for it."""

_log: Final = get_logger("element")

Report = Callable[[RebuildStatus], None]


class Base(BaseModel):
    """What serves while the new catalog is built: an epoch, and how far its journal is carried over.

    ``began`` is where the journal ended when the first sidecar was read.
    """

    epoch: str
    began: int
    carried: int


class Progress(BaseModel):
    """How far a rebuild has come.

    ``starts`` is how often the root had been started then; ``accept_loss``: however many files it lacks.
    """

    status: RebuildStatus
    starts: int
    accept_loss: bool = False
    base: Base | None = None
    last_key: str | None = None
    position: int = 0

    def may_go_on(self, *, base_epoch: str | None, starts: int) -> bool:
        """Whether what was read is still true: nothing changed since but what the base's journal tells.

        Without a base nothing served, so the root must not have been started since.
        """
        if self.status.state != "running":
            return False
        if self.base is None:
            return base_epoch is None and self.starts == starts
        return self.base.epoch == base_epoch


class Rebuild:
    """One rebuild, from its beginning or from where it was interrupted."""

    def __init__(
        self, storage: StorageBackend, database: Database, progress: Progress, report: Report
    ) -> None:
        self._storage = storage
        self._database = database
        self._progress = progress
        self._report = report
        self._resumed = time.perf_counter()
        self._earlier = progress.status.seconds
        report(progress.status)

    @classmethod
    async def begin(
        cls,
        storage: StorageBackend,
        database: Database,
        *,
        base: Base | None,
        starts: int,
        report: Report,
        accept_loss: bool = False,
    ) -> Self:
        """Begin with nothing."""
        await drop_old(database)
        expected = None if base is None else await count(database, "SELECT 1 FROM catalog_files")
        status = RebuildStatus(state="running", started_at=datetime.now(UTC), expected=expected)
        progress = Progress(status=status, base=base, starts=starts, accept_loss=accept_loss)
        async with database.transaction() as transaction:
            await begin_next(transaction, database.dialect, tag=uuid.uuid4().hex[:8])
            await save_work(transaction, NAME, progress)
        _log.info("catalog_rebuild_started", expected=expected)
        return cls(storage, database, progress, report)

    @property
    def status(self) -> RebuildStatus:
        return self._progress.status

    @property
    def base(self) -> Base | None:
        return self._progress.base

    async def read(self) -> None:
        """Read every sidecar that was not read yet.

        Raises:
            UnavailableError: the storage is away, or the database cannot be written.
        """
        keys = sidecar_keys(self._storage, after=self._progress.last_key, size=BATCH_SIZE)
        async with aclosing(ahead(keys, lambda some: read_sidecars(self._storage, some))) as batches:
            async for batch in batches:
                await self._add(batch)

    async def catch_up(self, until: int) -> None:
        """Repeat what changed meanwhile, up to a position of the base's journal."""
        while (base := self._progress.base) is not None and base.carried < until:
            async with self._database.transaction() as transaction:
                progress = await self._carry_over(transaction, until=min(base.carried + BATCH_SIZE, until))
                await save_work(transaction, NAME, progress)
            self._progress = progress

    async def require_most(self) -> None:
        """Compare with the catalog that serves: much that is lacking is more likely out of sight than gone.

        Raises:
            PreconditionFailedError: more files are lacking than may be.
        """
        if (base := self._progress.base) is None:
            return
        number, examples = await lacking(self._database, until=base.carried, limit=MAX_EXAMPLES)
        status = self.status.model_copy(update={"lacking": number, "lacking_examples": examples})
        self._progress = self._progress.model_copy(update={"status": status})
        known = status.expected or 0
        allowed = max(LACKING_FREE, int(known * PART_FREE))
        if number > allowed and not self._progress.accept_loss:
            raise PreconditionFailedError(
                f"{number} files that the catalog knows are lacking, and at most {allowed} may be: is all "
                f"of the root there, and none of it a link? The catalog stays, unless the loss is accepted"
            )

    async def put_in_place(self, transaction: Transaction, *, until: int, epoch: str) -> None:
        """Repeat the rest, and let the new catalog be the catalog."""
        progress, forgotten = await self._carry_over(transaction, until=until), 0
        if progress.base is None:
            await transaction.execute("DELETE FROM catalog_meta")
            await begin_log(transaction, self._database.dialect)
        else:
            forgotten = await remove_forgotten(transaction, after=progress.base.began)
        await put_next_in_place(transaction, is_serving=progress.base is not None)
        files = progress.status.files - forgotten
        status = _ended(self._timed(progress.status), "done")
        status = status.model_copy(update={"epoch": epoch, "files": files})
        self._progress = progress.model_copy(update={"status": status})
        await save_work(transaction, NAME, self._progress)

    async def give_up(self, state: WorkState, *, reason: str | None = None) -> None:
        """Nothing of it is kept but the status."""
        status = _ended(self._timed(self.status), state).model_copy(update={"reason": reason})
        self._progress = self._progress.model_copy(update={"status": status})
        try:
            async with self._database.transaction() as transaction:
                await drop_next(transaction)
                await save_work(transaction, NAME, self._progress)
        finally:
            # Told last: who learns that it has ended may begin the next one.
            self._report(status)

    def tell(self) -> None:
        """Tell how it ended."""
        status = self.status
        self._report(status)
        _log.info(
            "catalog_rebuilt", files=status.files, **dict(status.faults), seconds=round(status.seconds, 3)
        )

    async def _add(self, batch: SidecarBatch) -> None:
        async with self._database.transaction() as transaction:
            added = await add(
                transaction,
                batch.found,
                after=self._progress.position,
                time=format_timestamp(datetime.now(UTC)),
            )
            await put_unusable(transaction, batch.unusable)
            progress = self._progress.model_copy(
                update={
                    "status": self._read(batch, [*batch.unusable, *added.copies], files=added.files),
                    "last_key": batch.last_key,
                    "position": self._progress.position + added.files,
                }
            )
            await save_work(transaction, NAME, progress)
        self._progress = progress
        self._report(progress.status)

    async def _carry_over(self, transaction: Transaction, *, until: int) -> Progress:
        if (base := self._progress.base) is None:
            return self._progress
        entries, files = await carry_over(
            transaction,
            after=base.carried,
            until=until,
            position=self._progress.position,
            time=format_timestamp(datetime.now(UTC)),
        )
        carried = base.model_copy(update={"carried": until})
        status = self.status.model_copy(update={"files": self.status.files + files})
        position = self._progress.position + entries
        return self._progress.model_copy(update={"base": carried, "status": status, "position": position})

    def _read(self, batch: SidecarBatch, faulty: Sequence[Unusable], *, files: int) -> RebuildStatus:
        old = self.status
        for each in faulty:
            _log.warning("sidecar_left_out", fault=each.fault, key=each.key, reason=each.reason)
        return self._timed(
            old.model_copy(
                update={
                    "sidecars": old.sidecars + batch.size,
                    "files": old.files + files,
                    "faults": _counted(old, faulty),
                    "examples": _exemplified(old, faulty),
                }
            )
        )

    def _timed(self, status: RebuildStatus) -> RebuildStatus:
        seconds = self._earlier + time.perf_counter() - self._resumed
        rate = status.sidecars / seconds
        left = None
        if status.expected is not None and rate:
            left = max(status.expected - status.sidecars, 0) / rate
        return status.model_copy(update={"seconds": seconds, "rate": rate, "seconds_left": left})


async def build_before_serving(
    storage: StorageBackend, database: Database, root: RootIdentity, *, report: Report
) -> str:
    """Build a catalog where none can be trusted; its epoch.

    Raises:
        UnavailableError: the storage cannot be read to its end, or the database cannot be written.
    """
    starts = root.now.starts
    progress = await load_work(database, NAME, Progress)
    if progress is not None and progress.may_go_on(base_epoch=None, starts=starts):
        rebuild = Rebuild(storage, database, progress, report)
    else:
        rebuild = await Rebuild.begin(storage, database, base=None, starts=starts, report=report)
    await rebuild.read()
    await root.require_present()
    epoch = uuid.uuid4().hex
    async with database.transaction() as transaction:
        await rebuild.put_in_place(transaction, until=0, epoch=epoch)
    rebuild.tell()
    return epoch


def _ended(status: RebuildStatus, state: WorkState) -> RebuildStatus:
    return status.model_copy(update={"state": state, "finished_at": datetime.now(UTC), "seconds_left": None})


def _counted(status: RebuildStatus, faulty: Sequence[Unusable]) -> dict[SidecarFault, int]:
    counts = dict(status.faults)
    for each in faulty:
        counts[each.fault] = counts.get(each.fault, 0) + 1
    return counts


def _exemplified(status: RebuildStatus, faulty: Sequence[Unusable]) -> dict[SidecarFault, list[Example]]:
    examples: dict[SidecarFault, list[Example]] = {
        fault: list(known) for fault, known in status.examples.items()
    }
    for each in faulty:
        known = examples.setdefault(each.fault, [])
        if len(known) < MAX_EXAMPLES:
            known.append(Example(key=each.key, reason=each.reason))
    return examples
