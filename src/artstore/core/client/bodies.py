"""Bodies of requests, which can be sent again or cannot, and of answers, which could be endless."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final

from aiohttp import ClientResponse

LARGEST_PROBLEM: Final = 64 * 1024
"""Bytes."""
PROBLEM_TIMEOUT: Final = 5.0
"""Seconds for the rest of an answer that refuses: no deadline is running any more when that is read."""


MakeStream = Callable[[], AsyncIterable[bytes]]
"""Makes a body, each time from its beginning."""


class Stream(AsyncIterator[bytes]):
    """A body that can be sent once. It ``is_begun`` when the first of it was asked for."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = aiter(chunks)
        self.is_begun = False

    def __anext__(self) -> Awaitable[bytes]:
        self.is_begun = True
        return self._chunks.__anext__()


async def bounded_body(response: ClientResponse, *, limit: int) -> bytes | None:
    """All of the body; ``None`` when it is longer than ``limit`` bytes, of which no more are kept.

    Raises:
        ClientError: the connection breaks before its end.
    """
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


async def problem_body(response: ClientResponse) -> bytes:
    """What says why a request is refused; nothing when that is too long, or takes too long.

    Raises:
        ClientError: the connection breaks before its end.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(PROBLEM_TIMEOUT):
            return await bounded_body(response, limit=LARGEST_PROBLEM) or b""
    return b""
