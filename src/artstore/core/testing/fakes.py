"""Back ends that live in memory and pass the contracts: what tests use instead of mocks."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Final

from artstore.core.spec import (
    ByteRange,
    Capabilities,
    ChecksumMismatchError,
    IncompleteBodyError,
    NotFoundError,
    ObjectInfo,
    StorageBackend,
    StorageReader,
    Usage,
    validate_key,
)

CHUNK_SIZE: Final = 256 * 1024


class MemoryStorage(StorageBackend):
    """Keeps every object in memory."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[ObjectInfo, bytes]] = {}
        self._versions = count(1)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(atomic_put=True, durable_put=False)

    async def put(
        self, key: str, body: AsyncIterable[bytes], *, size: int | None = None, sha256: str | None = None
    ) -> ObjectInfo:
        validate_key(key)
        content = b"".join([chunk async for chunk in body])
        computed = hashlib.sha256(content).hexdigest()
        if size not in (None, len(content)):
            raise IncompleteBodyError(f"the body has {len(content)} bytes, but {size} were declared")
        if sha256 is not None and sha256 != computed:
            raise ChecksumMismatchError(declared=sha256, computed=computed)
        info = ObjectInfo(key, len(content), f"{next(self._versions)}", datetime.now(UTC), computed)
        self._objects[key] = info, content
        return info

    @asynccontextmanager
    async def get(
        self, key: str, *, byte_range: ByteRange | None = None
    ) -> AsyncGenerator[StorageReader, None]:
        info, content = self._find(key)
        if byte_range is not None:
            part = byte_range.within(info.size)
            content = content[part.start : part.end + 1]
        async with aclosing(_chunks(content)) as chunks:
            yield StorageReader(info=info, chunks=chunks)

    async def head(self, key: str) -> ObjectInfo:
        info, _ = self._find(key)
        return info

    async def delete(self, key: str) -> None:
        validate_key(key)
        self._objects.pop(key, None)

    async def list(self, prefix: str = "", *, after: str | None = None) -> AsyncIterator[ObjectInfo]:
        for key in sorted(self._objects):
            if key.startswith(prefix) and (after is None or key > after) and key in self._objects:
                yield self._objects[key][0]

    async def usage(self) -> Usage:
        return Usage(used=sum(info.size for info, _ in self._objects.values()))

    def _find(self, key: str) -> tuple[ObjectInfo, bytes]:
        validate_key(key)
        if key not in self._objects:
            raise NotFoundError(f"there is no object {key!r}")
        return self._objects[key]


async def _chunks(content: bytes) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(content), CHUNK_SIZE):
        yield content[start : start + CHUNK_SIZE]
