"""Changes the metadata of a file, and deletes files: the sidecar first, then what follows from it."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from artstore.core.attribute_fields import CustomAttributes, Description, Tags
from artstore.core.attributes import Changes, FileAttributes
from artstore.services.storage_element.catalog_records import Change, Committed, existing
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


async def change_metadata(
    element: Element, file_id: UUID, change: MetadataChange, *, condition: Condition
) -> Committed:
    """Put the next version of a sidecar in place of the present one.

    Raises:
        ModeNotAllowedError: the element's metadata does not change.
        NotFoundError: there is no such file.
        PreconditionFailedError: ``condition`` does not hold.
        ContentTooLargeError: the sidecar would be larger than allowed.
    """
    async with element.changing(file_id, "update") as known:
        known = existing(known, file_id)
        present = known.attributes
        condition(present)
        changes = _changes(change, present)
        if not changes:
            return known
        attributes = present.changed(**changes)
        sidecar = attributes.to_json(limit=element.settings.max_attributes_size)
        key = known.change.key
        async with element.recovery.intent("file_update", file_id, key) as intent:
            await put_in_order(element.storage, {intent.sidecar_key: sidecar})
            return await element.catalog.record(
                Change.of("update", attributes, key=key, sidecar=sidecar), finishes=intent
            )


async def delete(element: Element, file_id: UUID, *, condition: Condition) -> Committed:
    """Leave a tombstone in place of the sidecar, and remove the data.

    Raises:
        ModeNotAllowedError: the element keeps its files.
        NotFoundError: there is no such file.
        PreconditionFailedError: ``condition`` does not hold.
    """
    async with element.changing(file_id, "delete") as known:
        known = existing(known, file_id)
        present = known.attributes
        condition(present)
        attributes = present.changed(status="deleted")
        sidecar = attributes.to_json(limit=READ_LIMIT)
        key = known.change.key
        async with element.recovery.intent("file_delete", file_id, key) as intent:
            await put_in_order(element.storage, {intent.sidecar_key: sidecar})
            committed = await element.catalog.record(
                Change.of("delete", attributes, key=key, sidecar=sidecar)
            )
        await element.recovery.remove_data(intent)
        return committed


def _changes(change: MetadataChange, present: FileAttributes) -> Changes:
    given = change.model_fields_set
    changes: Changes = {}
    if "description" in given:
        changes["description"] = change.description
    if "tags" in given:
        changes["tags"] = change.tags
    if "custom_attributes" in given:
        changes["custom_attributes"] = _merged(present.custom_attributes, change.custom_attributes)
    return changes


def _merged(present: dict[str, JsonValue], change: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {name: value for name, value in {**present, **change}.items() if value is not None}
