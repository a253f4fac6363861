"""Takes the copy of a file that is to become permanent here: the data, and the sidecar it has elsewhere."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from artstore.core.attributes import FileAttributes
from artstore.core.naming import storage_name
from artstore.core.retention import is_unfinished_copy
from artstore.core.spec import AlreadyExistsError, ChecksumMismatchError, ContentTooLargeError
from artstore.services.storage_element.catalog_records import Change, Committed
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.room import Reservation
from artstore.services.storage_element.small_objects import READ_LIMIT, put_small
from artstore.services.storage_element.uploads import Stored, measure_body


@dataclass(frozen=True, slots=True)
class Copy:
    """A file as another element has it. Its data has not been read yet."""

    attributes: FileAttributes
    body: AsyncIterator[bytes]


async def store_copy(element: Element, copy: Copy) -> Stored:
    """Store ``copy``, or find that it is stored already; its sidecar is then the one that came now.

    Raises:
        ModeNotAllowedError: the element takes no files.
        AlreadyExistsError: the id has other content, or was deleted.
        ChecksumMismatchError: the data is not what the sidecar says.
        IncompleteBodyError: the data is not as long as the sidecar says.
        ContentTooLargeError: the data exceeds the limit of this element.
        InsufficientStorageError: no room.
    """
    if copy.attributes.file_size > element.max_file_size:
        raise ContentTooLargeError(limit=element.max_file_size)
    async with element.changing(copy.attributes.file_id, "create") as known:
        if known is None or (known.is_deleted and is_unfinished_copy(known.attributes)):
            return await _create(element, copy)
        return await _repeat(element, copy, known)


async def _create(element: Element, copy: Copy) -> Stored:
    attributes = _placed(copy.attributes)
    size = attributes.file_size
    key = attributes.storage_key
    with await element.room.reserve(size) as room:
        async with element.recovery.intent("file_create", attributes.file_id, key) as intent:
            body = _counted(copy.body, room)
            await element.storage.put(key, body, size=size, sha256=attributes.checksum)
            sidecar = attributes.to_json(limit=READ_LIMIT)
            await put_small(element.storage, intent.sidecar_key, sidecar)
            change = Change.of("create", attributes, key=key, sidecar=sidecar)
            return Stored(await element.catalog.record(change, finishes=intent), is_new=True, size=size)


async def _repeat(element: Element, copy: Copy, known: Committed) -> Stored:
    """What an interrupted attempt has left is compared with what comes now, to the last byte."""
    stored = known.attributes
    is_finished = stored.retention.policy == "permanent" and stored.retention.finalized_at is not None
    is_same = stored.checksum == copy.attributes.checksum and stored.file_size == copy.attributes.file_size
    if known.is_deleted or not is_same or not (is_finished or is_unfinished_copy(known.attributes)):
        raise AlreadyExistsError(f"file {stored.file_id} is, or was, on this element already")
    size, sha256 = await measure_body(copy.body)
    if sha256 != stored.checksum:
        raise ChecksumMismatchError(declared=stored.checksum, computed=sha256)
    attributes = _still_permanent(copy.attributes, stored) if is_finished else copy.attributes
    if not is_finished or attributes.version > stored.version:
        known = await _replace(element, known, attributes)
    return Stored(known, is_new=False, size=size)


def _still_permanent(attributes: FileAttributes, stored: FileAttributes) -> FileAttributes:
    """What has changed elsewhere since an earlier copy was finished; that it was is not taken back."""
    retention = stored.retention.model_copy(update={"holds": attributes.retention.holds})
    return attributes.model_copy(update={"retention": retention})


async def _replace(element: Element, known: Committed, attributes: FileAttributes) -> Committed:
    """Put the sidecar that came in place of the one there is."""
    place = {
        "storage_filename": known.attributes.storage_filename,
        "storage_path": known.attributes.storage_path,
    }
    attributes = attributes.model_copy(update=place)
    sidecar = attributes.to_json(limit=READ_LIMIT)
    key = known.change.key
    change = Change.of("update", attributes, key=key, sidecar=sidecar)
    if change.digest == known.change.digest:
        return known
    async with element.recovery.intent("file_finalize", attributes.file_id, key) as intent:
        await put_small(element.storage, intent.sidecar_key, sidecar)
        return await element.catalog.record(change, finishes=intent)


def _placed(attributes: FileAttributes) -> FileAttributes:
    """With the name that this element gives it: what another one says of its own root is not followed."""
    name = storage_name(
        attributes.original_filename,
        username=attributes.created_by_username,
        created_at=attributes.created_at,
        file_id=attributes.file_id,
    )
    return attributes.model_copy(update={"storage_filename": name.filename, "storage_path": name.directory})


async def _counted(body: AsyncIterator[bytes], room: Reservation) -> AsyncGenerator[bytes, None]:
    async for chunk in body:
        room.use(len(chunk))
        yield chunk
