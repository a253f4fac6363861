"""Changes the metadata of a file, and deletes files: the sidecar first, then what follows from it."""

from collections.abc import Callable
from typing import Annotated, Unpack
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from artstore.core.attribute_fields import CustomAttributes, Description, Moment, Tags
from artstore.core.attributes import Changes, FileAttributes
from artstore.core.journal import FileOperation
from artstore.core.retention import extended, require_at_rest, require_deletable
from artstore.core.spec import CorruptedError, NotFoundError
from artstore.services.storage_element.catalog_records import Change, Committed, IntentOperation, existing
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.small_objects import READ_LIMIT, put_in_order

Condition = Callable[[FileAttributes], None]
"""Raises ``PreconditionFailedError`` when the present attributes are not those the client wants to change."""


class MetadataChange(BaseModel):
    """What is to change; what is left out stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    description: Annotated[Description | None, Field(description="`null` removes it.")] = None
    tags: Annotated[Tags, Field(description="All of them: they replace those there are.")] = []
    custom_attributes: Annotated[
        CustomAttributes, Field(description="Merged with those there are; a `null` removes one (RFC 7396).")
    ] = {}
    expires_at: Annotated[
        Moment | None,
        Field(description="Until when the file is kept: not earlier than now; `null` is for ever."),
    ] = None


async def change_metadata(
    element: Element, file_id: UUID, change: MetadataChange, *, condition: Condition
) -> Committed:
    """Put the next version of a sidecar in place of the present one.

    Raises:
        ModeNotAllowedError: the element's metadata does not change.
        NotFoundError: there is no such file.
        PreconditionFailedError: ``condition`` does not hold.
        BeingFinalizedError: it is on its way to become permanent.
        RetentionActiveError: it would shorten the retention of the file.
        ContentTooLargeError: the sidecar would be larger than allowed.
    """
    async with element.changing(file_id, "update") as known:
        known = existing(known, file_id)
        present = known.attributes
        condition(present)
        require_at_rest(present, now=element.time.now())
        changes = _changes(change, present)
        if not changes:
            return known
        return await replace(element, known, limit=element.settings.max_attributes_size, **changes)


async def replace(
    element: Element,
    known: Committed,
    *,
    limit: int,
    operation: FileOperation = "update",
    **changes: Unpack[Changes],
) -> Committed:
    """Put the next version of a sidecar, at most ``limit`` bytes, in place of the one that is ``known``."""
    attributes = known.attributes.changed(at=element.clock.now(), **changes)
    sidecar = attributes.to_json(limit=limit)
    key = known.change.key
    async with element.recovery.intent("file_update", known.change.file_id, key) as intent:
        await put_in_order(element.storage, {intent.sidecar_key: sidecar})
        change = Change.of(operation, attributes, key=key, sidecar=sidecar)
        return await element.catalog.record(change, finishes=intent)


async def delete(element: Element, file_id: UUID, *, condition: Condition) -> Committed:
    """Leave a tombstone in place of the sidecar, and remove the data.

    Raises:
        ModeNotAllowedError: the element keeps its files.
        NotFoundError: there is no such file.
        PreconditionFailedError: ``condition`` does not hold.
        BeingFinalizedError: it is on its way to become permanent.
        RetentionActiveError: the file must be kept.
    """
    async with element.changing(file_id, "delete") as known:
        known = existing(known, file_id)
        condition(known.attributes)
        return await bury(element, known)


async def bury(element: Element, known: Committed) -> Committed:
    """Delete a file that nobody else changes meanwhile.

    Raises:
        RetentionActiveError: the file must be kept.
        BeingFinalizedError: it is on its way to become permanent.
    """
    require_deletable(known.attributes, now=element.time.now())
    keeps_data = element.settings.collection.removal_delay > 0
    return await leave_tombstone(element, known, keeps_data=keeps_data)


async def leave_tombstone(element: Element, known: Committed, *, keeps_data: bool = False) -> Committed:
    """Delete a file of which it is known that it may be deleted; ``keeps_data`` to undelete it."""
    # Its time to be undeleted counts from here.
    attributes = known.attributes.changed(at=element.time.latest(), status="deleted")
    sidecar = attributes.to_json(limit=READ_LIMIT)
    key = known.change.key
    operation: IntentOperation = "file_bury" if keeps_data else "file_delete"
    async with element.recovery.intent(operation, known.change.file_id, key) as intent:
        await put_in_order(element.storage, {intent.sidecar_key: sidecar})
        change = Change.of("delete", attributes, key=key, sidecar=sidecar)
        committed = await element.catalog.record(change, finishes=intent if keeps_data else None)
    if not keeps_data:
        await element.recovery.remove_data(intent)
    return committed


async def undelete(element: Element, file_id: UUID) -> Committed:
    """Bring back a deleted file whose data are still there.

    Raises:
        ModeNotAllowedError: the element keeps its files, so none is deleted.
        NotFoundError: there is no such file, it is not deleted, or its data are gone.
        CorruptedError: its data have another size.
    """
    async with element.changing(file_id, "delete") as known:
        if known is None or not known.is_deleted:
            raise NotFoundError(f"there is no deleted file {file_id}")
        try:
            info = await element.storage.head(known.change.key)
        except NotFoundError:
            raise NotFoundError(f"the data of file {file_id} are gone: it cannot be undeleted") from None
        if info.size != known.attributes.file_size:
            raise CorruptedError(f"the data of file {file_id} have another size than they had")
        return await replace(element, known, limit=READ_LIMIT, operation="create", status="active")


def _changes(change: MetadataChange, present: FileAttributes) -> Changes:
    given = change.model_fields_set
    changes: Changes = {}
    if "description" in given:
        changes["description"] = change.description
    if "tags" in given:
        changes["tags"] = change.tags
    if "expires_at" in given and change.expires_at != present.retention.expires_at:
        changes["retention"] = extended(present, change.expires_at)
    if "custom_attributes" in given:
        changes["custom_attributes"] = _merged(present.custom_attributes, change.custom_attributes)
    return changes


def _merged(present: dict[str, JsonValue], change: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {name: value for name, value in {**present, **change}.items() if value is not None}
