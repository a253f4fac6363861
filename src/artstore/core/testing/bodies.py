"""Request bodies for tests: as they should be, broken, stalled, slow, and too large to hold."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

CHUNK_SIZE: Final = 64 * 1024


async def body(*chunks: bytes) -> AsyncIterator[bytes]:
    """A request body that arrives in these chunks."""
    for chunk in chunks:
        yield chunk


async def broken_body(*chunks: bytes, error: Exception) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    raise error


async def stalling_body(*chunks: bytes, stalled: asyncio.Event) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    stalled.set()
    await asyncio.Event().wait()


async def slow_body(content: bytes) -> AsyncIterator[bytes]:
    """Gives everybody else a turn before each chunk."""
    for start in range(0, len(content), CHUNK_SIZE):
        await asyncio.sleep(0)
        yield content[start : start + CHUNK_SIZE]


async def generated_body(size: int) -> AsyncIterator[bytes]:
    """Chunks that exist only while somebody holds them."""
    for number in range(size // CHUNK_SIZE):
        await asyncio.sleep(0)
        yield bytes([number % 256]) * CHUNK_SIZE
