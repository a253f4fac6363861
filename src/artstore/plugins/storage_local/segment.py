"""One file of the commit log: batches appended to space that was written before, so that syncing is cheap."""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from errno import EROFS
from typing import Final, NamedTuple

from artstore.plugins.storage_local.files import Files

# Every record: magic, generation, length and CRC-32 of what follows.
_RECORD: Final = struct.Struct("<4sQII")
_MAGIC: Final = b"ASL1"
_HEAD: Final = struct.calcsize("<4sQ")
"""Bytes of the magic and the generation."""
# Every step in a record: modification time in ns, bytes of the object (-1: it is removed), bytes of its key.
_STEP: Final = struct.Struct("<qqH")
_REMOVED: Final = -1


class Step(NamedTuple):
    """One object that is put, or removed where ``content`` is ``None``."""

    key: str
    content: bytes | None
    modified_ns: int


Batch = Sequence[Step]
"""Steps that happen all or not at all."""


GROWTH: Final = 1024 * 1024
"""Bytes that are written ahead at a time: syncing data in their place changes no metadata of the file."""


class UntouchedError(OSError):
    """The file system takes no changes at present, so a segment is as it was: it can be tried again."""


class Segment:
    """A file of at most ``size`` bytes, with the batches of one generation from its start to the first torn
    one.
    """

    def __init__(self, files: Files, path: str, *, size: int) -> None:
        self.path = path
        self._size = size
        self._files = files
        self._descriptor = files.create(path)
        self._written_ahead = 0
        self._generation = 0
        self._end = 0

    @property
    def is_empty(self) -> bool:
        return self._end == 0

    def has_room(self, records: bytes) -> bool:
        return self._end + len(records) <= self._size

    def begin(self, generation: int) -> None:
        """Start again; what is appended from now on belongs to ``generation``, the highest so far."""
        self._generation = generation
        self._end = 0

    def encode(self, batches: Sequence[Batch]) -> bytes:
        """``batches`` as they are appended."""
        return b"".join(_encode(batch, self._generation) for batch in batches)

    def append(self, records: bytes) -> None:
        """Put ``records`` on stable storage.

        Raises:
            UntouchedError: nothing was written.
            OSError: whether they are there, nobody knows.
        """
        self._write(records, self._end)
        self._files.sync_data(self._descriptor)
        self._end += len(records)

    def write_ahead(self, records: bytes) -> None:
        """Take the space of ``records``, so that nothing but a broken disk can refuse them."""
        while self._end + len(records) > self._written_ahead:
            self._files.write_at(self._descriptor, bytes(GROWTH), self._written_ahead)
            self._files.sync(self._descriptor)
            self._written_ahead += GROWTH

    def clear(self) -> None:
        """Forget every batch, durably. Raises as :meth:`append`."""
        self._write(bytes(_RECORD.size), 0)
        self._files.sync_data(self._descriptor)
        self._end = 0

    def close(self) -> None:
        os.close(self._descriptor)

    def _write(self, data: bytes, offset: int) -> None:
        try:
            self._files.write_at(self._descriptor, data, offset)
        except OSError as error:
            if error.errno == EROFS:
                raise UntouchedError(*error.args) from error
            raise


class ForeignError(Exception):
    """A file is no segment as this release writes them."""


class Content(NamedTuple):
    """The whole batches of a segment, in order.

    ``is_damaged``: others were before the last of them, or behind it. What is merely torn is the last.
    """

    generation: int
    batches: list[Batch]
    is_damaged: bool


def read_content(segment: bytes) -> Content:
    """What a segment holds.

    Raises:
        ForeignError: it begins otherwise than a segment does.
    """
    generation, batches, skipped, start = _generation(segment), list[Batch](), False, 0
    while (record := _record(segment, start, generation)) is not None:
        if record.is_whole:
            batches.append(list(_steps(record.payload)))
        elif _record(segment, record.end, generation) is None:
            break
        else:
            skipped = True
        start = record.end
    return Content(generation, batches, skipped or _has_whole(segment, generation, after=start))


class _Record(NamedTuple):
    payload: memoryview
    is_whole: bool
    end: int


def _generation(segment: bytes) -> int:
    head = segment[: _RECORD.size]
    if not any(head):
        return 0
    if len(head) < _RECORD.size or not head.startswith(_MAGIC):
        raise ForeignError
    return int(_RECORD.unpack(head)[1])


def _record(segment: bytes, start: int, generation: int) -> _Record | None:
    """What begins at ``start``, unless that is nothing, or left over from an earlier generation."""
    if start + _RECORD.size > len(segment):
        return None
    magic, found, length, checksum = _RECORD.unpack_from(segment, start)
    if magic != _MAGIC or found != generation:
        return None
    begin = start + _RECORD.size
    payload = memoryview(segment)[begin : begin + length]
    # The zeros of a torn head would fit an empty one.
    is_whole = 0 < length == len(payload) and zlib.crc32(payload) == checksum
    return _Record(payload, is_whole, begin + length)


def _has_whole(segment: bytes, generation: int, *, after: int) -> bool:
    """Whether there is a record to which nothing leads. It is not believed: an object may hold a copy."""
    head = _RECORD.pack(_MAGIC, generation, 0, 0)[:_HEAD]
    start = segment.find(head, after + 1)
    while start >= 0:
        if (record := _record(segment, start, generation)) is not None and record.is_whole:
            return True
        start = segment.find(head, start + 1)
    return False


def _encode(batch: Batch, generation: int) -> bytes:
    parts: list[bytes] = []
    for key, content, modified_ns in batch:
        name = key.encode()
        size = _REMOVED if content is None else len(content)
        parts += [_STEP.pack(modified_ns, size, len(name)), name, content or b""]
    payload = b"".join(parts)
    return _RECORD.pack(_MAGIC, generation, len(payload), zlib.crc32(payload)) + payload


def _steps(payload: memoryview) -> Iterator[Step]:
    start = 0
    while start < len(payload):
        modified_ns, size, length = _STEP.unpack_from(payload, start)
        start += _STEP.size
        key = str(payload[start : start + length], "utf-8")
        start += length
        if size == _REMOVED:
            yield Step(key, None, modified_ns)
        else:
            yield Step(key, bytes(payload[start : start + size]), modified_ns)
            start += size
