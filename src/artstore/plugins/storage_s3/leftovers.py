"""Multipart uploads that nobody will complete: their parts take room and are seen in no listing."""

import asyncio
from collections.abc import AsyncIterator, Set
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from artstore.core.spec import ArtStoreError, PluginContext, UnavailableError
from artstore.plugins.storage_s3.bucket import Bucket, required
from artstore.plugins.storage_s3.names import Names

if TYPE_CHECKING:
    from types_aiobotocore_s3.type_defs import MultipartUploadTypeDef

INTERVAL: Final = 3600.0
"""Seconds between two collections."""


class Collector:
    """Removes the uploads of one root that are older than ``age`` seconds and not ``in_progress`` here."""

    def __init__(
        self, bucket: Bucket, names: Names, *, age: float, in_progress: Set[str], context: PluginContext
    ) -> None:
        self._bucket = bucket
        self._names = names
        self._age = timedelta(seconds=age)
        self._in_progress = in_progress
        self._logger = context.logger
        self._count_removed = context.metrics.counter(
            "leftovers_removed_total", "Multipart uploads removed that a crash or a failed abort left."
        )

    async def run(self) -> None:
        """Collect from time to time, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.collect()

    async def collect(self) -> None:
        """Collect once; what cannot be done now is done the next time."""
        removed = 0
        try:
            async for upload in self._leftovers():
                await self._bucket.call(
                    self._bucket.client.abort_multipart_upload(
                        Bucket=self._bucket.name,
                        Key=upload.get("Key", ""),
                        UploadId=upload.get("UploadId", ""),
                    )
                )
                self._count_removed()
                removed += 1
        except ArtStoreError as error:
            self._logger.warning("leftovers_not_collected", reason=error.detail)
        if removed:
            self._logger.info("leftovers_removed", count=removed)

    async def _leftovers(self) -> AsyncIterator["MultipartUploadTypeDef"]:
        started_before = datetime.now(UTC) - self._age
        async for upload in self._uploads():
            started = upload.get("Initiated")
            if (
                started is not None
                and started <= started_before
                and upload.get("UploadId") not in self._in_progress
                and self._names.key(upload.get("Key", "")) is not None
            ):
                yield upload

    async def _uploads(self) -> AsyncIterator["MultipartUploadTypeDef"]:
        position: dict[str, Any] = {}
        while True:
            page = await self._bucket.call(
                self._bucket.client.list_multipart_uploads(
                    Bucket=self._bucket.name, Prefix=self._names.prefix, **position
                )
            )
            for upload in page.get("Uploads", ()):
                yield upload
            if not page.get("IsTruncated"):
                return
            before, position = (
                position,
                {
                    "KeyMarker": required(page, "NextKeyMarker"),
                    "UploadIdMarker": required(page, "NextUploadIdMarker"),
                },
            )
            if position == before or not position["KeyMarker"]:
                raise UnavailableError("the storage does not say how its listing of uploads goes on")
