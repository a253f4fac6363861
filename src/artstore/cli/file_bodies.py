"""The file of this machine as the body of a request, as often as it has to be sent."""

import asyncio
from collections.abc import AsyncIterator

from artstore.cli.local_files import READ_SIZE, LocalFile
from artstore.cli.output import TransferProgress


class FileBody:
    """Makes the body from the file's beginning. What is shown as sent is what was sent of the last one."""

    def __init__(self, file: LocalFile, progress: TransferProgress) -> None:
        self._file = file
        self._progress = progress
        self._sent = 0

    async def __call__(self) -> AsyncIterator[bytes]:
        self.take_back()
        async for chunk in _read(self._file):
            yield chunk
            self._sent += len(chunk)
            self._progress.advance(len(chunk))

    def take_back(self) -> None:
        """Nothing of it has arrived."""
        self._progress.advance(-self._sent)
        self._sent = 0


async def _read(file: LocalFile) -> AsyncIterator[bytes]:
    """The file's first ``size`` bytes, read in a thread; one that has fewer by now ends in an error."""
    opened = await asyncio.to_thread(file.path.open, "rb")
    left = file.size
    try:
        while left:
            chunk = await asyncio.to_thread(opened.read, min(READ_SIZE, left))
            if not chunk:
                raise EOFError("the file became shorter")
            left -= len(chunk)
            yield chunk
    finally:
        await asyncio.to_thread(opened.close)
