"""Listing a bucket page by page, and noticing when the service does not do it as S3 does."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from artstore.core.spec import ObjectInfo, Stranger, UnavailableError
from artstore.plugins.storage_s3.bucket import Bucket, etag_of, required, whole_seconds
from artstore.plugins.storage_s3.names import Names

if TYPE_CHECKING:
    from types_aiobotocore_s3.type_defs import ObjectTypeDef


async def walk(bucket: Bucket, names: Names, *, prefix: str, after: str | None) -> AsyncIterator[ObjectInfo]:
    """Every object whose key starts with ``prefix`` and sorts after ``after``, in order."""
    last = b""
    async for found in _entries(bucket, prefix=names.prefix + prefix, after=names.prefix + (after or "")):
        name: str = required(found, "Key")
        encoded = name.encode()
        if encoded <= last:
            raise UnavailableError("the storage does not list objects in the order of their names")
        last = encoded
        key = names.key(name)
        if key is not None:
            yield ObjectInfo(
                key=key,
                size=required(found, "Size"),
                etag=etag_of(found),
                modified_at=whole_seconds(required(found, "LastModified")),
            )


async def find_strangers(bucket: Bucket, names: Names) -> AsyncIterator[Stranger]:
    """What lies below the prefix and can be no object: folders that consoles make, above all."""
    async for found in _entries(bucket, prefix=names.prefix, after=""):
        name: str = required(found, "Key")
        if names.key(name) is None and not names.is_own(name):
            yield Stranger(name.removeprefix(names.prefix) or name, "an object whose name is no key")


async def _entries(bucket: Bucket, *, prefix: str, after: str) -> AsyncIterator["ObjectTypeDef"]:
    """What the service lists; ``after`` may be empty."""
    position: dict[str, Any] = {"StartAfter": after} if after else {}
    while True:
        page = await bucket.call(
            bucket.client.list_objects_v2(
                Bucket=bucket.name, Prefix=prefix, MaxKeys=bucket.page_size, **position
            )
        )
        # A page that some proxy answers with, of whatever it is, is no bucket without objects.
        is_truncated = required(page, "IsTruncated")
        for found in page.get("Contents", ()):
            yield found
        if not is_truncated:
            return
        token = page.get("NextContinuationToken", "")
        if token in ("", position.get("ContinuationToken")):
            raise UnavailableError("the storage does not say how its listing goes on")
        position = {"ContinuationToken": token}
