"""Makes a temporary file permanent, as far as one element does it: each step is one sidecar."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from artstore.core.attributes import FileAttributes, Finalization, Hold, Retention
from artstore.core.finalization import FinalizationStep, StepOrder
from artstore.core.modes import Operation
from artstore.core.retention import is_being_finalized, require_deletable
from artstore.core.spec import PreconditionFailedError
from artstore.services.storage_element.catalog_records import Change, Committed, existing
from artstore.services.storage_element.changes import leave_tombstone
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.small_objects import READ_LIMIT, put_in_order

DEFAULT_PROTECTION: Final = timedelta(days=7)
"""For so long a mark protects a file when nobody says for how long: one that is forgotten ends by itself."""

RENEWED_BY: Final = timedelta(days=1)
"""At least: an order that is only repeated changes nothing."""


async def take_step(element: Element, file_id: UUID, order: StepOrder) -> Committed:
    """Take one step. Taking it again changes nothing.

    Raises:
        ModeNotAllowedError: the element's mode does not allow what the step needs.
        NotFoundError: there is no such file.
        PreconditionFailedError: the file is not as the step wants it.
        RetentionActiveError: somebody holds the file that is to be removed.
    """
    operation, step = _STEPS[order.step]
    async with element.changing(file_id, operation) as known:
        return await step(element, existing(known, file_id), order)


async def _begin(element: Element, known: Committed, order: StepOrder) -> Committed:
    """A mark of a finalization that nobody knows any more gives way; one's own is renewed."""
    attributes = known.attributes
    if attributes.retention.policy == "permanent":
        raise PreconditionFailedError(f"file {attributes.file_id} is permanent already")
    if _is_marked_already(attributes, order, now=element.time.now()):
        return known
    until = order.until or element.time.latest() + DEFAULT_PROTECTION
    return await _retain(element, known, finalization=Finalization(id=order.finalization_id, until=until))


def _is_marked_already(attributes: FileAttributes, order: StepOrder, *, now: datetime) -> bool:
    mark = attributes.retention.finalization
    if mark is None or mark.id != order.finalization_id or not is_being_finalized(attributes, now=now):
        return False
    return order.until is None or order.until - mark.until < RENEWED_BY


async def _finish(element: Element, known: Committed, order: StepOrder) -> Committed:
    """What is permanent stays so from when it was; only its version may have to rise, or its holds to come
    along that its source has got since it was copied.
    """
    retention = known.attributes.retention
    holds = _united(retention.holds, order.holds)
    is_recent = known.attributes.version >= (order.version or 0) and holds == retention.holds
    if retention.policy == "permanent" and is_recent:
        return known
    if is_being_finalized(known.attributes, now=element.time.now()) and not _is_of(retention, order):
        raise PreconditionFailedError(
            f"file {known.change.file_id} is being made permanent by another finalization"
        )
    return await _retain(
        element,
        known,
        version=order.version,
        policy="permanent",
        expires_at=None,
        finalized_at=retention.finalized_at or element.clock.now(),
        finalization=None,
        holds=holds,
    )


async def _cancel(element: Element, known: Committed, order: StepOrder) -> Committed:
    """A copy that was never finished is removed in any mode that lets it come: nobody was told of it."""
    finalization = known.attributes.retention.finalization
    if finalization is None or finalization.id != order.finalization_id:
        return known
    if finalization.copy_of is not None:
        return await leave_tombstone(element, known)
    return await _retain(element, known, finalization=None)


async def _remove(element: Element, known: Committed, order: StepOrder) -> Committed:
    """While a file is marked, nothing of it changes but holds."""
    attributes, now = known.attributes, element.time.now()
    is_as_copied = attributes.version == order.version or is_being_finalized(attributes, now=now)
    if not is_as_copied or not _is_of(attributes.retention, order):
        raise PreconditionFailedError(
            f"file {attributes.file_id} has version {attributes.version}: another one was copied"
        )
    unmarked = attributes.retention.model_copy(update={"finalization": None})
    require_deletable(attributes.model_copy(update={"retention": unmarked}), now=now)
    return await leave_tombstone(element, known)


_Step = Callable[[Element, Committed, StepOrder], Awaitable[Committed]]

_STEPS: Final[Mapping[FinalizationStep, tuple[Operation, _Step]]] = {
    "begin": ("delete", _begin),  # what cannot be removed later is not copied
    "finish": ("update", _finish),
    "cancel": ("update", _cancel),
    "remove": ("delete", _remove),
}
"""Every step, with what the mode must allow for it."""


def _united(present: list[Hold], more: list[Hold]) -> list[Hold]:
    known = {hold.id for hold in present}
    return [*present, *(hold for hold in more if hold.id not in known)]


def _is_of(retention: Retention, order: StepOrder) -> bool:
    return retention.finalization is not None and retention.finalization.id == order.finalization_id


async def _retain(
    element: Element, known: Committed, *, version: int | None = None, **retention: Any
) -> Committed:
    """Put the next version of the sidecar in place, with other ``retention``."""
    attributes = known.attributes.changed(
        at=element.clock.now(), retention=known.attributes.retention.model_copy(update=retention)
    )
    if version is not None and version > attributes.version:
        attributes = attributes.model_copy(update={"version": version})
    sidecar = attributes.to_json(limit=READ_LIMIT)
    key = known.change.key
    async with element.recovery.intent("file_finalize", attributes.file_id, key) as intent:
        await put_in_order(element.storage, {intent.sidecar_key: sidecar})
        return await element.catalog.record(
            Change.of("update", attributes, key=key, sidecar=sidecar), finishes=intent
        )
