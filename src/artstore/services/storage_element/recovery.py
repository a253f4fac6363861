"""What becomes of an operation that was interrupted: the sidecar tells how far it came."""

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Final
from uuid import UUID

from artstore.core.attributes import FileAttributes
from artstore.core.audit.belated import belated, outcome_of
from artstore.core.audit.notes import note, present_cause, when_recorded
from artstore.core.audit.record import Happening, bounded
from artstore.core.audit.trail import AuditTrail
from artstore.core.journal import FileOperation
from artstore.core.logging import get_logger
from artstore.core.modes import Mode
from artstore.core.spec import ArtStoreError, CorruptedError, NotFoundError, StorageBackend, UnsupportedError
from artstore.services.storage_element.catalog import Catalog
from artstore.services.storage_element.catalog_records import (
    Change,
    Committed,
    Intent,
    IntentOperation,
    IntentOutcome,
)
from artstore.services.storage_element.identity import RootIdentity
from artstore.services.storage_element.metrics import ElementMetrics
from artstore.services.storage_element.sidecars import Unusable, to_sidecar
from artstore.services.storage_element.small_objects import READ_LIMIT, read_small

_log: Final = get_logger("element")


class Recovery:
    """Finishes or undoes what was interrupted. Doing so twice, or being interrupted itself, is harmless."""

    def __init__(
        self,
        storage: StorageBackend,
        catalog: Catalog,
        metrics: ElementMetrics,
        root: RootIdentity,
        *,
        trail: AuditTrail | None,
    ) -> None:
        self._trail = trail
        self._storage = storage
        self._catalog = catalog
        self._root = root
        self._settled = {
            "committed": metrics.wal_recovered,
            "rolled_back": metrics.wal_rolled_back,
            "failed": metrics.wal_failed,
        }

    @asynccontextmanager
    async def intent(
        self, operation: IntentOperation, file_id: UUID | None, key: str, *, mode: Mode | None = None
    ) -> AsyncGenerator[Intent, None]:
        """Log an intent; when the context fails, settle it before the error goes on.

        The error may have come after the commit point, so what happened is read, not assumed.
        """
        cause = present_cause()
        record = None if cause is None else cause.record
        intent = await self._catalog.begin(operation, file_id, key, mode=mode, cause=record)
        when_recorded(partial(self._catalog.note_recorded, intent))
        try:
            yield intent
        except BaseException:
            with _leaving_for_later(intent):
                note(settled=await self._finish(intent))
            raise

    async def remove_data(self, intent: Intent) -> None:
        """The tombstone is in place: remove the data, later if it cannot be done now."""
        try:
            await self._storage.delete(intent.key)
            await self._catalog.finish(intent, "committed")
        except ArtStoreError as error:
            _log.warning("data_removal_postponed", key=intent.key, reason=error.detail)

    async def try_to_settle(self, intent: Intent) -> None:
        """Settle it now if the storage and the catalog can be used, else leave it for later."""
        with _leaving_for_later(intent):
            await self.settle(intent)

    async def settle(self, intent: Intent) -> None:
        """Finish what reached its commit point, undo what did not, and record what became of it: the request
        that it was for has ended, or the whole process.
        """
        await self._record(intent, await self._finish(intent))

    async def record_belatedly(self, finished: Sequence[tuple[Intent, IntentOutcome]]) -> None:
        """Record what a process had done that was killed, unless it had recorded that as well."""
        if self._trail is None or not finished:
            return
        recorded = await self._trail.spool.changes()
        for intent, outcome in finished:
            if _as_recorded(intent, outcome) in recorded:
                self._catalog.note_recorded(intent)
            else:
                await self._record(intent, outcome)

    async def _record(self, intent: Intent, outcome: IntentOutcome) -> None:
        if self._trail is None:
            return
        what = {"settled": outcome, "operation": intent.operation, "key": bounded(intent.key)}
        if intent.cause is not None:
            happening = belated(intent.cause, outcome, **what)
        else:
            happening = self._trail.event("operation_settled", outcome=outcome_of(outcome), **what)
        await self._trail.add(happening)
        self._catalog.note_recorded(intent)

    async def _finish(self, intent: Intent) -> IntentOutcome:
        try:
            outcome = await self._settle(intent)
        except (CorruptedError, UnsupportedError) as error:
            # Missing, or not what we wrote: the bytes beside it are not ours to remove.
            _log.error("sidecar_unreadable", key=intent.key, reason=error.detail)
            outcome = "failed"
        await self._catalog.finish(intent, outcome)
        self._settled[outcome].inc()
        _log.info("operation_settled", operation=intent.operation, key=intent.key, outcome=outcome)
        return outcome

    async def _settle(self, intent: Intent) -> IntentOutcome:
        if intent.file_id is None:
            return await self._settle_mode(intent)
        return await self._settle_file(intent, intent.file_id)

    async def _settle_mode(self, intent: Intent) -> IntentOutcome:
        """The identity of the root decides."""
        identity = await self._root.reread()
        if identity.mode != intent.mode:
            return "rolled_back"
        await self._catalog.record_mode(identity.mode, finishes=intent)
        return "committed"

    async def _settle_file(self, intent: Intent, file_id: UUID) -> IntentOutcome:
        try:
            raw = await read_small(self._storage, intent.sidecar_key)
        except NotFoundError:
            return await self._settle_without_sidecar(intent, file_id)
        attributes = _read(raw, intent)
        change = _unknown(attributes, intent.key, await self._catalog.get(file_id))
        if change is not None:
            await self._catalog.record(change)
        if attributes.status == "deleted" and intent.operation == "file_delete":
            await self._storage.delete(intent.key)
            return "committed"
        return "rolled_back" if change is None else "committed"

    async def _settle_without_sidecar(self, intent: Intent, file_id: UUID) -> IntentOutcome:
        """Only what is new has none before its commit, and only what is purged after it.

        Raises:
            CorruptedError: it was lost: the bytes beside it may be the last there are of the file.
        """
        known = await self._catalog.get(file_id)
        is_known = known is not None and known.change.key == intent.key
        if intent.operation == "file_purge":
            if known is not None:
                await self._catalog.record(replace(known.change, operation="purge"))
            return "committed"
        if is_known or intent.operation not in ("file_create", "file_finalize"):
            raise CorruptedError(f"the sidecar of file {file_id} is missing")
        await self._storage.delete(intent.key)
        return "rolled_back"


@contextmanager
def _leaving_for_later(intent: Intent) -> Generator[None, None, None]:
    try:
        yield
    except ArtStoreError as error:
        _log.warning(
            "operation_left_pending", operation=intent.operation, key=intent.key, reason=error.detail
        )


def _as_recorded(intent: Intent, outcome: IntentOutcome) -> tuple[str | None, str]:
    assert intent.cause is not None, "without one, no record is due"
    return Happening.model_validate_json(intent.cause).change, outcome_of(outcome)


def _read(raw: bytes, intent: Intent) -> FileAttributes:
    read = to_sidecar(raw, intent.sidecar_key)
    if isinstance(read, Unusable):
        raise CorruptedError(read.reason)
    return read.attributes


def _unknown(attributes: FileAttributes, key: str, known: Committed | None) -> Change | None:
    """What the catalog does not know yet; ``None`` when it knows this very sidecar."""
    operation: FileOperation = "create" if known is None or known.is_deleted else "update"
    if attributes.status == "deleted":
        operation = "delete"
    change = Change.of(operation, attributes, key=key, sidecar=attributes.to_json(limit=READ_LIMIT))
    return None if known is not None and known.change.digest == change.digest else change
