"""Hashes what is about to be sent, and remembers which local files need not be hashed again."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from typing import Final, NamedTuple

MIB: Final = 1024 * 1024
BATCH_SIZE: Final = MIB
"""Bytes hashed by one call of a thread: a hand-over costs a sixth of it (measured)."""
LIMIT: Final = 4096
"""Files. Each takes about half a kilobyte."""

_READ_SIZE: Final = 256 * 1024


class FileIdentity(NamedTuple):
    """What changes whenever somebody writes to a file, renames it or puts another in its place."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int
    sha256: str

    @classmethod
    def of(cls, descriptor: int, sha256: str) -> "FileIdentity":
        """The open file, which is to have the digest ``sha256``."""
        status = os.fstat(descriptor)
        return cls(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, sha256
        )


class RecentlyVerified:
    """Local files whose bytes had the right digest a short time ago.

    Hashing takes two to four times as long as the kernel takes to send a file, so one that is asked for
    again and again is hashed once in ``lifetime`` seconds. For as long a wrong bit of the medium, of which
    the file system knows nothing, can stay unseen.
    """

    def __init__(self, *, lifetime: float) -> None:
        self._lifetime = lifetime
        self._until: dict[FileIdentity, float] = {}

    def __contains__(self, identity: FileIdentity) -> bool:
        return time.monotonic() < self._until.get(identity, 0.0)

    def add(self, identity: FileIdentity) -> None:
        """Its bytes had their digest just now."""
        self._until.pop(identity, None)
        if len(self._until) >= LIMIT:
            del self._until[next(iter(self._until))]
        self._until[identity] = time.monotonic() + self._lifetime


class Hasher:
    """The digest of what it is given, by threads."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        """Of everything so far, in hex."""
        return self._digest.hexdigest()

    def add_chunks(self, chunks: Sequence[bytes]) -> None:
        """Hash ``chunks``. Blocks."""
        for chunk in chunks:
            self._digest.update(chunk)

    def add_file(self, descriptor: int, start: int, length: int) -> None:
        """Hash a part of an open file. Blocks; what the file does not have is left out."""
        end = start + length
        buffer = memoryview(bytearray(min(_READ_SIZE, length)))
        while start < end and (count := os.preadv(descriptor, [buffer[: end - start]], start)):
            self._digest.update(buffer[:count])
            start += count


async def verified_batches(
    chunks: AsyncIterable[bytes], check: Callable[[str], None]
) -> AsyncGenerator[Sequence[bytes]]:
    """``chunks`` in batches, each given out while the one after it is being hashed.

    The last one is given out only after ``check`` has seen the digest of all without complaining.
    """
    hasher = Hasher()
    previous: Sequence[bytes] = ()
    async for batch in batches(chunks):
        hashing = asyncio.create_task(asyncio.to_thread(hasher.add_chunks, batch))
        try:
            if previous:
                yield previous
        finally:
            await hashing
        previous = batch
    check(hasher.digest)
    yield previous


async def batches(chunks: AsyncIterable[bytes]) -> AsyncGenerator[Sequence[bytes]]:
    batch, length = list[bytes](), 0
    async for chunk in chunks:
        batch.append(chunk)
        length += len(chunk)
        if length >= BATCH_SIZE:
            yield batch
            batch, length = [], 0
    if batch:
        yield batch
