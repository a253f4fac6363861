"""Stores a file: room, intent, data, sidecar, catalog, in this order, and nothing is kept of a failure."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import ValidationError

from artstore.core.attribute_fields import DEFAULT_CONTENT_TYPE
from artstore.core.attributes import FileAttributes
from artstore.core.config import MIB
from artstore.core.content_type import HEAD_SIZE, sniff
from artstore.core.naming import storage_name
from artstore.core.spec import (
    AlreadyExistsError,
    ChecksumMismatchError,
    ContentTooLargeError,
    IncompleteBodyError,
    StorageBackend,
)
from artstore.core.upload_attributes import UploadAttributes
from artstore.core.validation import invalid_request
from artstore.services.storage_element.catalog_records import Change, Committed
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.room import Reservation
from artstore.services.storage_element.small_objects import gather, put_in_order

HASH_BATCH: Final = MIB
"""Bytes that are hashed in one job of a worker thread."""

SMALL: Final = 64 * 1024
"""Bytes of a body that is held in memory, where the storage can store it together with its sidecar."""

LARGEST_GROWTH: Final = 7
"""How many times larger a sidecar can be than what a client said: canonical JSON writes 1e20 in full, and
adds our own fields."""

_NOT_YET_KNOWN: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Creator:
    """In whose name a file is stored."""

    id: str
    username: str
    fullname: str | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that is being received.

    ``size`` is its exact length in bytes where that was declared; ``description_limit`` is the most
    bytes in which its attributes can have come.
    """

    file_id: UUID
    attributes: UploadAttributes
    creator: Creator
    size: int | None
    description_limit: int
    body: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of an upload of ``size`` bytes: a new file, or the same one that was there."""

    committed: Committed
    is_new: bool
    size: int


@dataclass(frozen=True, slots=True)
class _Data:
    """A body that has been received. What is not in the storage yet is ``unstored``."""

    size: int
    sha256: str
    head: bytes
    unstored: Mapping[str, bytes]


async def store(element: Element, upload: Upload) -> Stored:
    """Store ``upload``, or find that it is stored already.

    Raises:
        ModeNotAllowedError: the element takes no files.
        AlreadyExistsError: the id has other content, or was deleted.
        ChecksumMismatchError: the body has another digest than declared.
        IncompleteBodyError: the body is not as long as declared.
        ContentTooLargeError: the body or the sidecar exceeds its limit.
        InvalidRequestError: the creator's name breaks a rule, or the file would have expired already.
        InsufficientStorageError: no room.
    """
    element.check("create")
    if upload.size is not None and upload.size > element.max_file_size:
        raise ContentTooLargeError(limit=element.max_file_size)
    async with element.changing(upload.file_id, "create") as known:
        if known is None:
            return await _create(element, upload)
        _require_maybe_same(upload, known)
        if element.fixity.is_quarantined(upload.file_id):
            await _store_again(element, upload, known)
            return Stored(known, is_new=False, size=known.attributes.file_size)
    # Nobody who wants to hold, change or delete the file waits for who sends slowly what it has already.
    await _require_same(upload, known.attributes)
    return Stored(await _still_same(element, upload, known), is_new=False, size=known.attributes.file_size)


async def _create(element: Element, upload: Upload) -> Stored:
    limit = element.settings.max_attributes_size
    now = element.clock.now()
    draft = _draft(upload, now=now, kept_from=element.time.latest(now))
    if upload.description_limit * LARGEST_GROWTH > limit:
        draft.to_json(limit=limit)  # refused before a byte is stored
    key = draft.storage_key
    with await element.room.reserve(upload.size) as room:
        async with element.recovery.intent("file_create", upload.file_id, key) as intent:
            data = await _receive(element.storage, key, upload, room)
            attributes = _completed(draft, data)
            sidecar = attributes.to_json(limit=limit)
            room.use(len(sidecar))
            await put_in_order(element.storage, {**data.unstored, intent.sidecar_key: sidecar})
            change = Change.of("create", attributes, key=key, sidecar=sidecar)
            committed = await element.catalog.record(change, finishes=intent)
            return Stored(committed, is_new=True, size=data.size)


async def _receive(storage: StorageBackend, key: str, upload: Upload, room: Reservation) -> _Data:
    """Store the body, unless it is small enough to be stored together with its sidecar."""
    size, checksum = upload.size, upload.attributes.checksum
    if storage.capabilities.atomic_batch is not None and size is not None and size <= SMALL:
        content, sha256 = await gather(upload.body, size=size, sha256=checksum)
        room.use(size)
        return _Data(size, sha256, content[:HEAD_SIZE], {key: content})
    head = bytearray()
    info = await storage.put(key, _watched(upload.body, room, head), size=size, sha256=checksum)
    assert info.sha256 is not None, "the contract of put"
    return _Data(info.size, info.sha256, bytes(head), {})


def _draft(upload: Upload, *, now: datetime, kept_from: datetime) -> FileAttributes:
    """All that is known before the body is; the type is left open when nobody said it."""
    said, creator = upload.attributes, upload.creator
    name = storage_name(
        said.original_filename, username=creator.username, created_at=now, file_id=upload.file_id
    )
    try:
        return FileAttributes(
            file_id=upload.file_id,
            original_filename=said.original_filename,
            storage_filename=name.filename,
            storage_path=name.directory,
            file_size=0,
            content_type=said.content_type or DEFAULT_CONTENT_TYPE,
            checksum=_NOT_YET_KNOWN,
            created_at=now,
            updated_at=now,
            created_by_id=creator.id,
            created_by_username=creator.username,
            created_by_fullname=creator.fullname,
            description=said.description,
            tags=said.tags,
            retention=said.retention(created_at=kept_from),
            custom_attributes=said.custom_attributes,
        )
    except ValidationError as error:
        raise invalid_request(error, FileAttributes) from None


async def _watched(
    body: AsyncIterator[bytes], room: Reservation, head: bytearray
) -> AsyncGenerator[bytes, None]:
    """The body on its way to the storage: takes its room, and leaves its first bytes in ``head``."""
    async for chunk in body:
        room.use(len(chunk))
        if len(head) < HEAD_SIZE:
            head += chunk[: HEAD_SIZE - len(head)]
        yield chunk


def _completed(draft: FileAttributes, data: _Data) -> FileAttributes:
    """Not validated again: what is added is our own."""
    known: dict[str, object] = {"file_size": data.size, "checksum": data.sha256}
    if draft.content_type == DEFAULT_CONTENT_TYPE:
        known["content_type"] = sniff(data.head, draft.original_filename)
    return draft.model_copy(update=known)


def _require_maybe_same(upload: Upload, known: Committed) -> None:
    """Whether the headers leave it open that the body is what is stored.

    The id of a tombstone is not given again: whoever holds it must not find other content under it.
    """
    if known.is_deleted:
        raise AlreadyExistsError(f"file {upload.file_id} was deleted: upload under a new id")
    size, checksum = known.attributes.file_size, known.attributes.checksum
    if upload.size not in (None, size) or upload.attributes.checksum not in (None, checksum):
        raise _other_content(upload)


async def _require_same(upload: Upload, stored: FileAttributes) -> None:
    """Read the body to its end to see whether it is what is stored."""
    size, sha256 = await measure_body(upload.body)
    if upload.size not in (None, size):
        raise IncompleteBodyError(f"the body has {size} of the {upload.size} bytes declared")
    if upload.attributes.checksum not in (None, sha256):
        raise ChecksumMismatchError(declared=upload.attributes.checksum, computed=sha256)
    if sha256 != stored.checksum:
        raise _other_content(upload)


async def _still_same(element: Element, upload: Upload, compared: Committed) -> Committed:
    """What is known of the file now that it has been compared."""
    known = await element.catalog.get(upload.file_id)
    if known is None or known.is_deleted:
        raise AlreadyExistsError(f"file {upload.file_id} was deleted meanwhile: upload under a new id")
    if known.attributes.checksum != compared.attributes.checksum:
        raise _other_content(upload)
    return known


async def _store_again(element: Element, upload: Upload, known: Committed) -> None:
    """Put in the place of data that a check found bad what was there before, and nothing else."""
    stored = known.attributes
    with await element.room.reserve(stored.file_size) as room:
        body = _watched(upload.body, room, bytearray())
        try:
            await element.storage.put(known.change.key, body, size=stored.file_size, sha256=stored.checksum)
        except IncompleteBodyError as error:
            raise error if upload.size is not None else _other_content(upload) from error
        except ChecksumMismatchError as error:
            raise error if upload.attributes.checksum is not None else _other_content(upload) from error
    await element.fixity.stored_again(upload.file_id)


def _other_content(upload: Upload) -> AlreadyExistsError:
    return AlreadyExistsError(f"file {upload.file_id} exists with other content: upload under a new id")


async def measure_body(body: AsyncIterator[bytes]) -> tuple[int, str]:
    """Length and SHA-256, hashed where it does not hold up other requests."""
    size = 0
    digest = hashlib.sha256()
    batch = bytearray()
    async for chunk in body:
        size += len(chunk)
        batch += chunk
        if len(batch) >= HASH_BATCH:
            await asyncio.to_thread(digest.update, batch)
            batch = bytearray()
    await asyncio.to_thread(digest.update, batch)
    return size, digest.hexdigest()
