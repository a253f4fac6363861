"""Journal entries of invented files."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from artstore.core.attributes import FileAttributes
from artstore.core.journal import JournalEntry, Operation

START: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ELEMENT: Final = "se-01"
EPOCH: Final = "epoch-1"


def file_id(number: int) -> UUID:
    """The id of the file ``number``: later files have larger ones."""
    return UUID(int=(number << 80) | (7 << 76) | (2 << 62) | number)


def created_at(number: int) -> datetime:
    """Files are created a minute apart."""
    return START + timedelta(minutes=number)


def attributes(number: int, **changes: Any) -> FileAttributes:
    """The sidecar of the file ``number``."""
    name = changes.get("original_filename", f"file {number}.txt")
    fields: dict[str, Any] = {
        "file_id": file_id(number),
        "original_filename": name,
        "storage_filename": f"{number}.txt",
        "storage_path": "2026/03/01/12",
        "file_size": 1000 + number,
        "content_type": "text/plain",
        "checksum": hashlib.sha256(str(number).encode()).hexdigest(),
        "created_at": created_at(number),
        "updated_at": created_at(number),
        "created_by_id": "sa_1",
        "created_by_username": "alice",
    }
    return FileAttributes.model_validate({**fields, **changes})


def entry(
    number: int, *, sequence: int | None = None, operation: Operation = "create", **changes: Any
) -> JournalEntry:
    """An entry about the file ``number``; a deletion has no attributes."""
    sidecar = None if operation == "delete" else attributes(number, **changes)
    return JournalEntry(
        sequence=sequence or number,
        time=created_at(number),
        operation=operation,
        file_id=file_id(number),
        attributes_digest="0" * 64 if sidecar is None else sidecar.digest,
        attributes=sidecar,
    )
