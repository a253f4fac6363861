"""What becomes of an operation that was interrupted: the sidecar tells how far it came."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from artstore.core.attributes import FileAttributes
from artstore.core.journal import Operation
from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError, CorruptedError, NotFoundError, StorageBackend, UnsupportedError
from artstore.services.storage_element.catalog import Catalog
from artstore.services.storage_element.catalog_records import (
    Change,
    Committed,
    Intent,
    IntentOperation,
    IntentOutcome,
)
from artstore.services.storage_element.metrics import ElementMetrics
from artstore.services.storage_element.small_objects import READ_LIMIT, read_small

_log: Final = get_logger("element")


class Recovery:
    """Finishes or undoes what was interrupted. Doing so twice, or being interrupted itself, is harmless."""

    def __init__(self, storage: StorageBackend, catalog: Catalog, metrics: ElementMetrics) -> None:
        self._storage = storage
        self._catalog = catalog
        self._metrics = metrics

    @asynccontextmanager
    async def intent(
        self, operation: IntentOperation, file_id: UUID, key: str
    ) -> AsyncGenerator[Intent, None]:
        """Log an intent; when the context fails, settle it before the error goes on.

        The error may have come after the commit point, so what happened is read, not assumed.
        """
        intent = await self._catalog.begin(operation, file_id, key)
        try:
            yield intent
        except BaseException:
            await self.try_to_settle(intent)
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
        try:
            await self.settle(intent)
        except ArtStoreError as error:
            _log.warning(
                "operation_left_pending", operation=intent.operation, key=intent.key, reason=error.detail
            )

    async def settle(self, intent: Intent) -> None:
        """Finish what reached its commit point, undo what did not."""
        outcome = await self._settle(intent)
        await self._catalog.finish(intent, outcome)
        if outcome == "committed":
            self._metrics.wal_recovered.inc()
        else:
            self._metrics.wal_rolled_back.inc()
        _log.info("operation_settled", operation=intent.operation, key=intent.key, outcome=outcome)

    async def _settle(self, intent: Intent) -> IntentOutcome:
        try:
            attributes = FileAttributes.from_json(
                await read_small(self._storage, intent.sidecar_key), limit=READ_LIMIT
            )
        except NotFoundError:
            await self._storage.delete(intent.key)
            return "rolled_back"
        except (CorruptedError, UnsupportedError) as error:
            # We did not write it: whatever it is, the bytes beside it are not ours to remove.
            _log.error("sidecar_unreadable", key=intent.sidecar_key, reason=error.detail)
            return "rolled_back"
        change = _unknown(attributes, intent.key, await self._catalog.get(intent.file_id))
        if change is not None:
            await self._catalog.record(change)
        if attributes.status == "deleted":
            await self._storage.delete(intent.key)
            return "committed"
        return "rolled_back" if change is None else "committed"


def _unknown(attributes: FileAttributes, key: str, known: Committed | None) -> Change | None:
    """What the catalog does not know yet; ``None`` when it knows this very sidecar."""
    operation: Operation = "create" if known is None else "update"
    if attributes.status == "deleted":
        operation = "delete"
    change = Change.of(operation, attributes, key=key, sidecar=attributes.to_json(limit=READ_LIMIT))
    return None if known is not None and known.change.digest == change.digest else change
