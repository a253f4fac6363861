"""Objects that fit in memory: sidecars, and what a root says of itself."""

import hashlib
from collections.abc import AsyncIterator, Mapping

from artstore.core.config import MIB
from artstore.core.spec import ChecksumMismatchError, IncompleteBodyError, StorageBackend

READ_LIMIT = MIB
"""The largest sidecar that any configuration allows: what was written under another one stays readable."""

LOCKED_HASHING = 2047
"""Bytes that ``hashlib`` hashes without releasing the interpreter's lock: from 2048 on it does (CPython), and
getting that back under load takes longer than hashing."""


async def put_small(storage: StorageBackend, key: str, content: bytes) -> None:
    """Store ``content`` under ``key``."""
    await storage.put(key, _once(content), size=len(content))


async def put_in_order(storage: StorageBackend, objects: Mapping[str, bytes]) -> None:
    """Store ``objects``, at once where the storage can: the last is never there without those before it."""
    batches = storage.capabilities.atomic_batch
    if batches is not None and sum(map(len, objects.values())) <= batches.max_batch_size:
        await batches.put_batch(objects)
    else:
        for key, content in objects.items():
            await put_small(storage, key, content)


async def gather(body: AsyncIterator[bytes], *, size: int, sha256: str | None) -> tuple[bytes, str]:
    """A body of ``size`` bytes, in memory, and its SHA-256.

    Raises:
        IncompleteBodyError: it is shorter or longer.
        ChecksumMismatchError: ``sha256`` is not its digest.
    """
    content = b""
    digest = hashlib.sha256()
    async for chunk in body:
        content += chunk
        if len(content) > size:
            raise IncompleteBodyError(f"the body is longer than the {size} bytes declared")
        for start in range(0, len(chunk), LOCKED_HASHING):
            digest.update(chunk[start : start + LOCKED_HASHING])
    if len(content) < size:
        raise IncompleteBodyError(f"the body has {len(content)} of the {size} bytes declared")
    computed = digest.hexdigest()
    if sha256 not in (None, computed):
        raise ChecksumMismatchError(declared=sha256, computed=computed)
    return content, computed


async def read_small(storage: StorageBackend, key: str) -> bytes:
    """All of an object, or a little more than ``READ_LIMIT`` bytes of one that is larger.

    Raises:
        NotFoundError: there is no such object.
    """
    content = b""
    async with storage.get(key) as reader:
        async for chunk in reader.chunks:
            content += chunk
            if len(content) > READ_LIMIT:
                break
    return content


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
