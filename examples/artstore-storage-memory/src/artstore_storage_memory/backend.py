"""Keeps every object as bytes in a dictionary."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Final

from artstore.core.spec import (
    ByteRange,
    Capabilities,
    ChecksumMismatchError,
    IncompleteBodyError,
    InsufficientStorageError,
    NotFoundError,
    ObjectInfo,
    StorageBackend,
    StorageReader,
    Usage,
    validate_key,
)

CHUNK_SIZE: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One version of one object. Replacing it makes a new one, so that readers keep theirs."""

    info: ObjectInfo
    content: bytes


class MemoryStorage(StorageBackend):
    """At most ``capacity`` bytes of objects."""

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        self._objects: dict[str, StoredObject] = {}
        self._versions = count(1)

    @property
    def capabilities(self) -> Capabilities:
        # The truth about itself: an object appears whole or not at all, but does not outlive the process.
        return Capabilities(atomic_put=True, durable_put=False, max_object_size=self._capacity)

    async def put(
        self, key: str, body: AsyncIterable[bytes], *, size: int | None = None, sha256: str | None = None
    ) -> ObjectInfo:
        validate_key(key)
        content = await self._receive(key, body)
        digest = hashlib.sha256(content).hexdigest()
        if size is not None and size != len(content):
            raise IncompleteBodyError(f"the body has {len(content)} bytes, but {size} were declared")
        if sha256 is not None and sha256 != digest:
            raise ChecksumMismatchError(declared=sha256, computed=digest)
        info = ObjectInfo(
            key=key,
            size=len(content),
            etag=str(next(self._versions)),
            modified_at=datetime.now(UTC),
            sha256=digest,
        )
        self._objects[key] = StoredObject(info, content)
        return info

    @asynccontextmanager
    async def get(
        self, key: str, *, byte_range: ByteRange | None = None
    ) -> AsyncGenerator[StorageReader, None]:
        stored = self._find(key)
        content = stored.content
        if byte_range is not None:
            part = byte_range.within(len(content))
            content = content[part.start : part.end + 1]
        async with aclosing(_chunks(content)) as chunks:
            yield StorageReader(info=stored.info, chunks=chunks)

    async def head(self, key: str) -> ObjectInfo:
        return self._find(key).info

    async def delete(self, key: str) -> None:
        validate_key(key)
        self._objects.pop(key, None)

    async def list(self, prefix: str = "", *, after: str | None = None) -> AsyncIterator[ObjectInfo]:
        infos = [stored.info for stored in self._objects.values()]
        for info in sorted(infos, key=lambda info: info.key):
            if info.key.startswith(prefix) and (after is None or info.key > after):
                yield info

    async def usage(self) -> Usage:
        used = sum(stored.info.size for stored in self._objects.values())
        return Usage(used=used, total=self._capacity, free=max(0, self._capacity - used))

    def _find(self, key: str) -> StoredObject:
        validate_key(key)
        try:
            return self._objects[key]
        except KeyError:
            raise NotFoundError(f"there is no object {key!r}") from None

    async def _receive(self, key: str, body: AsyncIterable[bytes]) -> bytes:
        """The whole body, unless it does not fit beside the other objects."""
        others = sum(stored.info.size for stored in self._objects.values() if stored.info.key != key)
        content = bytearray()
        async for chunk in body:
            content += chunk
            if others + len(content) > self._capacity:
                raise InsufficientStorageError(f"there is no room for {key!r} in {self._capacity} bytes")
        return bytes(content)


async def _chunks(content: bytes) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(content), CHUNK_SIZE):
        yield content[start : start + CHUNK_SIZE]
