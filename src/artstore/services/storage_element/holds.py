"""Holds of a file: what it must be kept for, whatever its retention says."""

import uuid
from uuid import UUID

from artstore.core.attributes import Hold
from artstore.core.exchange import NewHold
from artstore.core.retention import held, released, require_no_unfinished_copy
from artstore.services.storage_element.catalog_records import Committed, existing
from artstore.services.storage_element.changes import replace
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.small_objects import READ_LIMIT


async def place_hold(
    element: Element, file_id: UUID, wanted: NewHold, *, placed_by: str
) -> tuple[Committed, bool]:
    """Hold a file; what is known of it then, and whether the hold is new.

    The sidecar may outgrow the configured limit: what must be kept can always be held.

    Raises:
        ModeNotAllowedError: the element's metadata does not change.
        NotFoundError: there is no such file.
        BeingFinalizedError: this is a copy that is not finished: its source is held.
        AlreadyExistsError: a hold with this id has another reason.
        InvalidRequestError: it has as many holds as a file can have.
    """
    async with element.changing(file_id, "update") as known:
        known = existing(known, file_id)
        require_no_unfinished_copy(known.attributes)
        hold = Hold(
            id=wanted.id or str(uuid.uuid4()),
            reason=wanted.reason,
            placed_by=placed_by,
            placed_at=element.clock.now(),
        )
        retention = held(known.attributes, hold)
        if retention is None:
            return known, False
        return await replace(element, known, limit=READ_LIMIT, retention=retention), True


async def release_hold(element: Element, file_id: UUID, hold_id: str) -> Committed:
    """Release a hold on a file.

    Raises:
        ModeNotAllowedError: the element's metadata does not change.
        NotFoundError: there is no such file, or no such hold.
        BeingFinalizedError: as :func:`place_hold`.
    """
    async with element.changing(file_id, "update") as known:
        known = existing(known, file_id)
        require_no_unfinished_copy(known.attributes)
        retention = released(known.attributes, hold_id)
        return await replace(element, known, limit=READ_LIMIT, retention=retention)
