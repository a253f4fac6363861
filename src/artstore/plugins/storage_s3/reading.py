"""Reading an object: one version of it to its end, through as many requests as that takes."""

import asyncio
import hashlib
import random
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from artstore.core.spec import (
    ByteRange,
    CorruptedError,
    NotFoundError,
    PreconditionFailedError,
    RangeNotSatisfiableError,
    StorageReader,
    UnavailableError,
)
from artstore.plugins.storage_s3.bucket import Bucket, Described, required
from artstore.plugins.storage_s3.errors import domain_errors

if TYPE_CHECKING:
    from types_aiobotocore_s3.type_defs import GetObjectOutputTypeDef

CHUNK_SIZE: Final = 256 * 1024
LONGEST_PAUSE: Final = 1.0
"""Seconds before a request goes on where the one before was cut off."""

_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class Stream:
    """Bytes ``position`` to ``end`` (not included) of one version of an object."""

    def __init__(self, bucket: Bucket, name: str, found: "_Opened") -> None:
        self.info = found.described.info
        self._bucket = bucket
        self._name = name
        self._body: Any = found.body
        self._position = found.start
        self._end = found.end

    @classmethod
    async def open(cls, bucket: Bucket, *, name: str, key: str, byte_range: ByteRange | None) -> Self:
        try:
            return cls(bucket, name, await _open(bucket, name, key, byte_range))
        except RangeNotSatisfiableError as error:
            size = error.size or (await bucket.head(name, key)).info.size
            raise RangeNotSatisfiableError(size=size) from error

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """All bytes, or an error: where the service cuts an answer off, another request goes on.

        Raises:
            UnavailableError: it was cut off too often, or is not there any more to be read to its end.
        """
        cuts = 0
        while self._position < self._end:
            try:
                chunk = await self._read()
            except UnavailableError:
                cuts += 1
                if cuts == self._bucket.attempts:
                    raise
                await asyncio.sleep(random.uniform(0, LONGEST_PAUSE))  # noqa: S311 - jitter
                await self._go_on()
            else:
                self._position += len(chunk)
                yield chunk

    def close(self) -> None:
        """Give the connection back, or close it if the answer was not read to its end."""
        self._body.close()

    async def _read(self) -> bytes:
        with domain_errors():
            chunk: bytes = await self._body.read(min(CHUNK_SIZE, self._end - self._position))
        if not chunk:
            raise UnavailableError("the storage cut an object off")
        return chunk

    async def _go_on(self) -> None:
        """Ask for what is missing, of the same version."""
        self._body.close()
        rest = ByteRange(self._position, self._end - 1)
        try:
            found = await _open(self._bucket, self._name, self.info.key, rest, etag=self.info.etag)
        except (NotFoundError, PreconditionFailedError, RangeNotSatisfiableError) as error:
            raise UnavailableError("the object was replaced or deleted while it was being read") from error
        self._body = found.body
        if found.described.info.etag != self.info.etag:
            raise UnavailableError("the object was replaced while it was being read")


@asynccontextmanager
async def open_reader(
    bucket: Bucket, *, name: str, key: str, byte_range: ByteRange | None
) -> AsyncGenerator[StorageReader, None]:
    """A reader as the contract of ``get`` has it; a whole object of known digest is checked as it passes."""
    stream = await Stream.open(bucket, name=name, key=key, byte_range=byte_range)
    try:
        chunks = stream.chunks()
        if byte_range is None and stream.info.sha256 is not None:
            chunks = _verified(chunks, stream.info.sha256)
        async with aclosing(chunks):
            yield StorageReader(info=stream.info, chunks=chunks)
    finally:
        stream.close()


class _Opened:
    """An answer that has what was asked for: bytes ``start`` to ``end`` (not included)."""

    def __init__(self, key: str, answer: "GetObjectOutputTypeDef", asked: ByteRange | None) -> None:
        self.body: Any = answer["Body"]
        self.start, self.end, size = _extent(answer, asked)
        self.described = Described(key, answer, size=size)


async def _open(
    bucket: Bucket, name: str, key: str, asked: ByteRange | None, *, etag: str | None = None
) -> _Opened:
    options: dict[str, Any] = {}
    if asked is not None:
        options["Range"] = f"bytes={asked.start}-{asked.end}"
    if etag is not None:
        options["IfMatch"] = f'"{etag}"'
    answer = await bucket.call(
        bucket.client.get_object(Bucket=bucket.name, Key=name, **options),
        key=key,
    )
    body: Any = answer["Body"]
    try:
        return _Opened(key, answer, asked)
    except BaseException:
        body.close()
        raise


def _extent(answer: "GetObjectOutputTypeDef", asked: ByteRange | None) -> tuple[int, int, int]:
    """First byte, the one after the last, and the size of the object: never other bytes than asked for."""
    match = _CONTENT_RANGE.fullmatch(answer.get("ContentRange", ""))
    if match is None:
        start, size = 0, required(answer, "ContentLength")
        end = size
    else:
        start, end, size = int(match[1]), int(match[2]) + 1, int(match[3])
    wanted = ByteRange(0, max(0, size - 1)) if asked is None else asked.within(size)
    if (start, end) != (wanted.start, wanted.end + 1) and size:
        raise UnavailableError("the storage gave another part of the object than it was asked for")
    return start, end, size


async def _verified(chunks: AsyncIterator[bytes], sha256: str) -> AsyncGenerator[bytes, None]:
    """``chunks``, the last of them only when all together have the digest ``sha256``."""
    digest, held = hashlib.sha256(), b""
    async for chunk in chunks:
        if held:
            yield held
        digest.update(chunk)  # a chunk takes less time than handing it to a thread would
        held = chunk
    if digest.hexdigest() != sha256:
        raise CorruptedError("the bytes of the object are not those that were stored")
    if held:
        yield held
