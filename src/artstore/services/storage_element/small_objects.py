"""Objects that fit in memory: sidecars, and what a root says of itself."""

from collections.abc import AsyncIterator

from artstore.core.config import MIB
from artstore.core.spec import StorageBackend

READ_LIMIT = MIB
"""The largest sidecar that any configuration allows: what was written under another one stays readable."""


async def put_small(storage: StorageBackend, key: str, content: bytes) -> None:
    """Store ``content`` under ``key``."""
    await storage.put(key, _once(content), size=len(content))


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
