"""The ``s3`` storage back end: one object of the bucket for each object."""

import math
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final

from artstore.core.spec import (
    ByteRange,
    Capabilities,
    ContentTooLargeError,
    InvalidRequestError,
    ObjectInfo,
    Presigner,
    StorageBackend,
    StorageReader,
    Stranger,
    Strangers,
    Usage,
)
from artstore.plugins.storage_s3.bucket import Bucket
from artstore.plugins.storage_s3.listing import find_strangers, walk
from artstore.plugins.storage_s3.names import Names
from artstore.plugins.storage_s3.parts import Body
from artstore.plugins.storage_s3.reading import open_reader
from artstore.plugins.storage_s3.uploading import Uploads

MOST_PARTS: Final = 10_000
"""Of one multipart upload, as S3 has it."""
LARGEST_OBJECT: Final = 5 * 1024**4
LONGEST_PRESIGNED: Final = 7 * 24 * 60 * 60
"""Seconds that a signature of version 4 can hold."""


class S3Storage(StorageBackend, Presigner, Strangers):
    """The object ``key`` is the bucket's object ``<prefix><key>``."""

    def __init__(self, bucket: Bucket, names: Names, uploads: Uploads, *, part_size: int) -> None:
        self._bucket = bucket
        self._names = names
        self._uploads = uploads
        self._largest = min(LARGEST_OBJECT, MOST_PARTS * part_size)
        self._capabilities = Capabilities(
            atomic_put=True,
            durable_put=True,
            max_object_size=self._largest,
            presigner=self,
            strangers=self,
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def put(
        self, key: str, body: AsyncIterable[bytes], *, size: int | None = None, sha256: str | None = None
    ) -> ObjectInfo:
        name = self._names.of(key)
        if size is not None and size > self._largest:
            raise ContentTooLargeError(limit=self._largest)
        received = Body(body, size=size, sha256=sha256, limit=self._largest)
        return await self._uploads.put(key, name, received, sha256=sha256)

    def get(
        self, key: str, *, byte_range: ByteRange | None = None
    ) -> AbstractAsyncContextManager[StorageReader]:
        return open_reader(self._bucket, name=self._names.of(key), key=key, byte_range=byte_range)

    async def head(self, key: str) -> ObjectInfo:
        return (await self._bucket.head(self._names.of(key), key)).info

    async def delete(self, key: str) -> None:
        await self._bucket.delete(self._names.of(key))

    async def list(self, prefix: str = "", *, after: str | None = None) -> AsyncIterator[ObjectInfo]:
        async for info in walk(self._bucket, self._names, prefix=prefix, after=after):
            yield info

    def list_strangers(self) -> AsyncIterator[Stranger]:
        return find_strangers(self._bucket, self._names)

    async def usage(self) -> Usage:
        """A bucket has no size to ask for; asking anyway tells whether it can be reached."""
        await self._bucket.call(self._bucket.client.head_bucket(Bucket=self._bucket.name))
        return Usage(used=None)

    async def presign_get(self, key: str, *, expires_in: float) -> str:
        if not 0 < expires_in <= LONGEST_PRESIGNED:
            raise InvalidRequestError(f"a URL can hold for up to {LONGEST_PRESIGNED} seconds")
        return await self._bucket.call(
            self._bucket.client.generate_presigned_url(
                "get_object",
                Params={"Bucket": self._bucket.name, "Key": self._names.of(key)},
                ExpiresIn=math.ceil(expires_in),
            )
        )
