"""What every storage back end must do, as tests its author runs by overriding one fixture."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from artstore.core.spec import StorageReader


async def body(*chunks: bytes) -> AsyncIterator[bytes]:
    """A request body that arrives in these chunks."""
    for chunk in chunks:
        yield chunk


async def read(context: AbstractAsyncContextManager[StorageReader]) -> bytes:
    """Everything that ``storage.get(…)`` gives."""
    async with context as reader:
        return b"".join([chunk async for chunk in reader.chunks])
