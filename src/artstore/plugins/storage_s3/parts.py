"""Bodies on their way to the bucket: cut into parts, hashed, held back until they are what was declared."""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from typing import Any, Final, Literal

from artstore.core.spec import ChecksumMismatchError, ContentTooLargeError, IncompleteBodyError

BLOCK_SIZE: Final = 1024 * 1024
"""Bytes that are joined and hashed in one job of a worker thread."""
BLOCK_CHUNKS: Final = 1024
"""A chunk of a few bytes takes ten times as many in memory: as many of them are a block, too."""
INLINE: Final = 64 * 1024
"""Bytes that are hashed faster than a thread would take them."""

Check = Literal["sha256", "md5", "reading back"]
"""How it is made sure that the service has the bytes that we sent: what it checks, or that we look."""


class Part:
    """A piece of a body: blocks of about a megabyte."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.size = 0
        self.is_last = False
        self.blocks: list[bytes] = []

    def digest(self, check: Check) -> str:
        """What the service is told to check, in Base64. Takes a millisecond per megabyte or more."""
        digest = hashlib.sha256() if check == "sha256" else hashlib.md5(usedforsecurity=False)
        for block in self.blocks:
            digest.update(block)
        return encoded(digest.digest())

    def body(self) -> Any:
        """What the SDK sends: bytes, or what it takes for a file, though its types do not say so."""
        return b"".join(self.blocks) if self.size <= BLOCK_SIZE else PartBody(self.blocks, self.size)


class PartBody:
    """A body of ``size`` bytes that can be sent again and is never copied into one piece."""

    def __init__(self, blocks: Sequence[bytes], size: int) -> None:
        self._blocks = blocks
        self._size = size

    def __len__(self) -> int:
        return self._size

    def seek(self, position: int) -> None:
        """The SDK rewinds what it sends again; every pass begins at the start anyhow."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for block in self._blocks:
            yield block


class Body:
    """A body as it comes in: cut into parts, measured and hashed."""

    def __init__(
        self, chunks: AsyncIterable[bytes], *, size: int | None, sha256: str | None, limit: int
    ) -> None:
        self.size = 0
        self._limit = limit
        self._chunks = chunks
        self._declared_size = size
        self._declared_sha256 = sha256
        self._digest = hashlib.sha256()
        self._pending: list[bytes] = []
        self._pending_size = 0

    @property
    def sha256(self) -> str:
        """The digest of all parts so far."""
        return self._digest.hexdigest()

    async def parts(self, part_size: int) -> AsyncGenerator[Part, None]:
        """Parts of ``part_size`` bytes; the last has less, or none where the body is empty.

        The last is given only when the body is what was declared.

        Raises:
            ContentTooLargeError: it is larger than an object can be.
            IncompleteBodyError: it is shorter or longer than declared.
            ChecksumMismatchError: it has another digest than declared.
        """
        part = Part(1)
        async for chunk in self._chunks:
            self._count(len(chunk))
            while chunk:
                if part.size == part_size:
                    await self._close_block(part)
                    yield part
                    part = Part(part.number + 1)
                taken = chunk[: part_size - part.size]
                chunk = chunk[len(taken) :]
                await self._append(taken, part)
        await self._close_block(part)
        part.is_last = True
        self._verify()
        yield part

    async def _append(self, chunk: bytes, part: Part) -> None:
        self._pending.append(chunk)
        self._pending_size += len(chunk)
        part.size += len(chunk)
        if self._pending_size >= BLOCK_SIZE or len(self._pending) >= BLOCK_CHUNKS:
            await self._close_block(part)

    async def _close_block(self, part: Part) -> None:
        """Join and hash what is pending."""
        if self._pending_size <= INLINE:
            block = self._join()
        else:
            block = await asyncio.to_thread(self._join)
        if block:
            part.blocks.append(block)

    def _join(self) -> bytes:
        block = b"".join(self._pending)
        self._digest.update(block)
        self._pending, self._pending_size = [], 0
        return block

    def _count(self, length: int) -> None:
        self.size += length
        if self.size > self._limit:
            raise ContentTooLargeError(limit=self._limit)
        if self._declared_size is not None and self.size > self._declared_size:
            raise IncompleteBodyError(f"the body is longer than the {self._declared_size} bytes declared")

    def _verify(self) -> None:
        if self._declared_size not in (None, self.size):
            raise IncompleteBodyError(f"the body has {self.size} of the {self._declared_size} bytes declared")
        if self._declared_sha256 is not None and self._declared_sha256 != self.sha256:
            raise ChecksumMismatchError(declared=self._declared_sha256, computed=self.sha256)


def encoded(digest: bytes) -> str:
    return b64encode(digest).decode()
