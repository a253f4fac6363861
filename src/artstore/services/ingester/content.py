"""The bytes of an upload on their way: whole when they are few, else a stream that is read once."""

from collections.abc import AsyncIterator
from typing import Final

from artstore.core.spec import ArtStoreError

SMALL: Final = 64 * 1024
"""Up to so many bytes are received before they are sent on, so that they can be sent again elsewhere."""


class WholeContent:
    """All of it."""

    is_spent = False

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)


class StreamedContent:
    """A stream. ``size`` is its length in bytes where that is known beforehand.

    Once its first byte has been taken it ``is_spent``: it cannot be sent to another place. When the
    client fails, ``failure`` tells how, because who sends the stream learns only that sending failed.
    """

    def __init__(self, chunks: AsyncIterator[bytes], *, head: bytes = b"", size: int | None = None) -> None:
        self._chunks = chunks
        self._head = head
        self.size = size
        self.is_spent = False
        self.failure: ArtStoreError | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        self.is_spent = True
        if self._head:
            yield self._head
        try:
            async for chunk in self._chunks:
                yield chunk
        except ArtStoreError as error:
            self.failure = error
            raise


Content = WholeContent | StreamedContent


async def receive(chunks: AsyncIterator[bytes], *, size: int | None) -> Content:
    """The content, of which as little is read as tells whether it is small.

    Of a client that waits for ``100 Continue`` nothing is read when its content is not.
    """
    if size is not None and size > SMALL:
        return StreamedContent(chunks, size=size)
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) > SMALL:
            return StreamedContent(chunks, head=bytes(head), size=size)
    return WholeContent(bytes(head))
