"""Sends the bytes of a representation. All of them leave only if they have the digest they should have."""

import asyncio
import os
import stat
from collections.abc import AsyncIterable, Generator
from contextlib import aclosing, contextmanager
from errno import EISDIR, ELOOP, ENOENT, ENOTDIR, ENXIO
from io import FileIO
from typing import Final

from aiohttp import web

from artstore.core.http.representation import Representation
from artstore.core.http.verification import FileIdentity, Hasher, verified_batches
from artstore.core.spec import (
    ArtStoreError,
    ByteRange,
    CorruptedError,
    NotFoundError,
    UnavailableError,
)

KIB: Final = 1024
SENDFILE_FROM: Final = 128 * KIB
"""From here on, the kernel sends a local file itself: half the CPU of reading it first (measured)."""
WINDOW: Final = 4 * 1024 * KIB
"""Bytes of a local file that are hashed, and sent, at a time. A file that is no larger is hashed before
anything is sent."""

_MISSING: Final = "the file's data is missing in the storage"
_NO_FILE: Final = frozenset({ENOENT, ENOTDIR, EISDIR, ELOOP, ENXIO})


def can_sendfile(request: web.Request) -> bool:
    """Only the stock event loop hands plain sockets to the kernel; TLS passes through user space."""
    transport = request.transport
    return (
        transport is not None
        and transport.get_extra_info("sslcontext") is None
        and isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop)
    )


async def send_chunks(
    request: web.Request,
    response: web.StreamResponse,
    served: Representation,
    chunks: AsyncIterable[bytes],
    *,
    is_whole: bool,
) -> None:
    """Write ``chunks``; those of the whole representation as far as they are not known to be wrong.

    The headers leave with the first bytes: what is small enough is known to be wrong before that.
    """
    if not is_whole:
        await response.prepare(request)
        async for chunk in chunks:
            await response.write(chunk)
    else:
        async with aclosing(verified_batches(chunks, served.check_digest)) as batches:
            async for batch in batches:
                if not response.prepared:
                    await response.prepare(request)
                for chunk in batch:
                    await response.write(chunk)
    await response.write_eof()


async def send_file(
    request: web.Request, response: web.StreamResponse, served: Representation, part: ByteRange | None
) -> None:
    """Let the kernel send the local file of a representation, or a part of it.

    A whole file that was not hashed recently is hashed window by window, ahead of being sent: both read
    the same pages of the kernel's cache. Its last window stays back until the digest is known.
    """
    sending = _begin_at_once(served, part)
    if sending is None:
        sending = await asyncio.to_thread(_begin, served, part)
    try:
        await sending.run(request, response)
    finally:
        sending.close()
    await response.write_eof()


def _begin_at_once(served: Representation, part: ByteRange | None) -> "_Sending | None":
    """The file on its way, where neither opening nor hashing it has to wait for the disk.

    A hand-over to a thread would be a seventh of the processor time of a megabyte (measured).
    """
    if served.open_cached is None or (descriptor := served.open_cached()) is None:
        return None
    sending = _Sending(served, part, _checked(served, descriptor))
    if sending.is_hashing:
        sending.close()
        return None
    return sending


def _begin(served: Representation, part: ByteRange | None) -> "_Sending":
    """The file on its way, its first window hashed if that must be. Blocks."""
    assert served.open_file is not None
    with _failures_told():
        descriptor = served.open_file()
    sending = _Sending(served, part, _checked(served, descriptor))
    try:
        sending.hash_first()
    except BaseException:
        sending.close()
        raise
    return sending


class _Sending:
    """One local file on its way."""

    def __init__(self, served: Representation, part: ByteRange | None, file: FileIO) -> None:
        self._served = served
        self._start, self._end = (0, served.size) if part is None else (part.start, part.end + 1)
        self._file = file
        self._identity = FileIdentity.of(file.fileno(), served.sha256)
        is_whole = self._end - self._start == served.size
        self._hasher = Hasher() if is_whole and self._identity not in served.verified else None

    @property
    def is_hashing(self) -> bool:
        """Whether the file has to be hashed before all of it may leave."""
        return self._hasher is not None

    def hash_first(self) -> None:
        """Hash the first window, if any. Blocks."""
        self._hash(self._start)

    def close(self) -> None:
        """A window may still be hashed if the client has gone: nobody looks at that digest."""
        self._file.close()

    async def run(self, request: web.Request, response: web.StreamResponse) -> None:
        await response.prepare(request)
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        for start in range(self._start, self._end, WINDOW):
            hashing = self._hash_ahead(start + WINDOW)
            try:
                window = min(WINDOW, self._end - start)
                sent = await self._send(transport, start, window)
            finally:
                await hashing
            if sent < window:
                raise CorruptedError("the stored file was cut while it was being sent")

    async def _send(self, transport: asyncio.Transport, start: int, length: int) -> int:
        """How many bytes were sent. A client that goes between two windows is told from other failures."""
        if transport.is_closing():
            raise ConnectionResetError("the client has gone")
        loop = asyncio.get_running_loop()
        try:
            return await loop.sendfile(transport, self._file, start, length, fallback=False)
        except asyncio.SendfileNotAvailableError:
            # asyncio says so of every first call that fails.
            if _is_connected(transport):
                raise
            raise ConnectionResetError("the client has gone") from None

    def _hash_ahead(self, start: int) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        if self._hasher is not None and start < self._end:
            return loop.run_in_executor(None, self._hash, start)
        nothing: asyncio.Future[None] = loop.create_future()
        nothing.set_result(None)
        return nothing

    def _hash(self, start: int) -> None:
        """Hash the window at ``start``; with the last one, it is known whether the file is right. Blocks."""
        if self._hasher is None:
            return
        descriptor = self._file.fileno()
        with _failures_told():
            self._hasher.add_file(descriptor, start, min(WINDOW, self._end - start))
        if start + WINDOW < self._end:
            return
        self._served.check_digest(self._hasher.digest)
        # Otherwise what was hashed is perhaps not what was sent.
        if FileIdentity.of(descriptor, self._served.sha256) != self._identity:
            raise CorruptedError("the stored file was changed while it was being sent")
        self._served.verified.add(self._identity)


def _is_connected(transport: asyncio.Transport) -> bool:
    """Whether the connection still has another end (ENOTCONN of getpeername(2))."""
    try:
        transport.get_extra_info("socket").getpeername()
    except OSError:
        return False
    return True


def _checked(served: Representation, descriptor: int) -> FileIO:
    """The local file, if it can be it. A directory or device in its place is none."""
    try:
        with _failures_told():
            status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotFoundError(_MISSING)
        served.check_size(status.st_size)
    except ArtStoreError:
        os.close(descriptor)
        raise
    return FileIO(descriptor, "rb")


@contextmanager
def _failures_told() -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_FILE:
            raise NotFoundError(_MISSING) from None
        raise UnavailableError(f"the storage failed ({error.strerror})") from error
