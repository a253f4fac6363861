"""From a journal entry to the rows that the index keeps of its file."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from artstore.core.attributes import FileAttributes
from artstore.core.ids import row_id
from artstore.core.journal import JournalEntry
from artstore.core.spec import Parameter, TextDocument
from artstore.core.stores.comparison import (
    attribute_value,
    bounded,
    digest,
    fold,
    fold_extension,
    fold_filename,
    media_type,
)
from artstore.core.stores.rows import to_microseconds

COLUMNS: Final = (
    "file_id",
    "element_id",
    "epoch",
    "sequence",
    "attributes_digest",
    "filename_folded",
    "file_extension",
    "file_size",
    "content_type",
    "checksum",
    "description_digest",
    "created_by_username",
    "retention_policy",
    "updated_at",
    "version",
)
"""The columns of ``files`` after ``row_id``."""


Precedence = tuple[bool, int, int, str]
"""Whether a copy is permanent, its version, when that was made, and the element that has it: what became
permanent is the file, whatever becomes of the temporary copy that it was made of."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """All that is written of one file: everything but the ``row_id`` it will get."""

    file_id: str
    sequence: int
    attributes_digest: str
    precedence: Precedence
    preferred_row_id: int
    columns: Mapping[str, Parameter]
    sidecar: str
    tags: frozenset[str]
    values: Mapping[str, str]
    name: str
    text: str

    def document(self, row_id: int) -> TextDocument:
        return TextDocument(row_id=row_id, name=self.name, text=self.text)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A file that is no more."""

    file_id: str
    sequence: int


def to_row(entry: JournalEntry, *, element_id: str, epoch: str) -> FileRow | Tombstone:
    attributes = entry.attributes
    if attributes is None or attributes.status == "deleted":
        return Tombstone(str(entry.file_id), entry.sequence)
    # The limit was the element's to enforce; what it has accepted is found.
    raw = attributes.to_json(limit=2**63)
    columns = _columns(attributes, raw) | {
        "element_id": element_id,
        "epoch": epoch,
        "sequence": entry.sequence,
    }
    return FileRow(
        file_id=str(attributes.file_id),
        sequence=entry.sequence,
        attributes_digest=str(columns["attributes_digest"]),
        precedence=(
            attributes.retention.policy == "permanent",
            attributes.version,
            to_microseconds(attributes.updated_at),
            element_id,
        ),
        preferred_row_id=row_id(attributes.created_at, attributes.file_id),
        columns=columns,
        sidecar=raw.decode(),
        tags=frozenset(map(fold, attributes.tags)),
        values={
            bounded(name): attribute_value(value) for name, value in attributes.custom_attributes.items()
        },
        name=attributes.original_filename,
        text="\n".join(_texts(attributes)),
    )


def _columns(attributes: FileAttributes, raw: bytes) -> dict[str, Parameter]:
    return {
        "file_id": str(attributes.file_id),
        "attributes_digest": hashlib.sha256(raw).hexdigest(),
        "filename_folded": fold_filename(attributes.original_filename),
        "file_extension": fold_extension(attributes.original_filename),
        "file_size": attributes.file_size,
        "content_type": media_type(attributes.content_type),
        "checksum": attributes.checksum,
        "description_digest": digest(fold(attributes.description)) if attributes.description else None,
        "created_by_username": bounded(attributes.created_by_username),
        "retention_policy": attributes.retention.policy,
        "updated_at": to_microseconds(attributes.updated_at),
        "version": attributes.version,
    }


def _texts(attributes: FileAttributes) -> Iterator[str]:
    """Everything people would search a file by, but its name."""
    if attributes.description:
        yield attributes.description
    yield from attributes.tags
    for value in attributes.custom_attributes.values():
        yield from _words(value)


def _words(value: JsonValue) -> Iterator[str]:
    if isinstance(value, dict):
        for member in value.values():
            yield from _words(member)
    elif isinstance(value, list):
        for member in value:
            yield from _words(member)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
