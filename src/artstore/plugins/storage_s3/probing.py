"""What this very service honours: asked at the start, since no two of them are alike."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import uuid4

from botocore.exceptions import ClientError

from artstore.core.spec import ConfigurationError, Logger
from artstore.plugins.storage_s3.bucket import Bucket
from artstore.plugins.storage_s3.errors import SDK_ERRORS, error_code, status
from artstore.plugins.storage_s3.names import PROBE, Names
from artstore.plugins.storage_s3.parts import Check
from artstore.plugins.storage_s3.refusals import Refusals

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

T = TypeVar("T")

CONTENT: Final = b"Written by ArtStore to see what this service honours; may be deleted.\n"
WRONG_SHA256: Final = b64encode(bytes(32)).decode()
WRONG_MD5: Final = b64encode(bytes(16)).decode()


class Probe:
    """Tries the service on an object of its own. What is missing is said in one line each."""

    def __init__(self, bucket: Bucket, names: Names, refusals: Refusals, logger: Logger) -> None:
        self._bucket = bucket
        self._names = names
        self._refusals = refusals
        self._logger = logger
        self._name = names.working(f"{PROBE}{uuid4().hex}")

    async def require_bucket(self) -> None:
        """See that there is a bucket and that it lets us in.

        Raises:
            ConfigurationError: the message names what to change.
        """
        client, name = self._bucket.client, self._bucket.name
        listing = client.list_objects_v2(Bucket=name, Prefix=self._names.prefix, MaxKeys=1)
        await self._require(listing, "s3:ListBucket")

    async def require_access(self) -> None:
        """See that objects can be listed, stored, read and deleted.

        Raises:
            ConfigurationError: as :meth:`require_bucket`.
        """
        await self.require_bucket()
        async with self._probe_object():
            await self._require_ranges()

    def through(self, client: "S3Client") -> "Probe":
        """The same, asked through another client."""
        return Probe(self._bucket.through(client), self._names, self._refusals, self._logger)

    async def find_check(self) -> Check:
        """How uploads can be checked.

        Raises:
            ConfigurationError: the service cannot be used; the message names what to change.
        """
        async with self._probe_object():
            await self._require_ranges()
            check = await self._strongest_check()
            await self._look_at_conditions()
            await self._require_multipart()
        return check

    @asynccontextmanager
    async def _probe_object(self) -> AsyncGenerator[None, None]:
        await self._require(self._put(), "s3:PutObject")
        try:
            yield
        finally:
            request = self._bucket.client.delete_object(Bucket=self._bucket.name, Key=self._name)
            await self._require(request, "s3:DeleteObject")

    async def _require_ranges(self) -> None:
        request = self._bucket.client.get_object(Bucket=self._bucket.name, Key=self._name, Range="bytes=3-9")
        answer = await self._require(request, "s3:GetObject")
        async with answer["Body"] as body:
            content = await self._require(body.read(), "s3:GetObject")
        if content != CONTENT[3:10]:
            raise ConfigurationError(
                f"{self._refusals.service} ignores byte ranges: ArtStore cannot keep objects in it"
            )

    async def _strongest_check(self) -> Check:
        """The strongest digest of which the service notices that it is wrong."""
        check: Check = "reading back"
        if await self._is_refused(self._put(ChecksumSHA256=WRONG_SHA256)):
            check = "sha256"
        elif await self._is_refused(self._put(ContentMD5=WRONG_MD5)):
            check = "md5"
        if check == "reading back":
            self._logger.warning("s3_ignores_checksums", consequence="each upload is read back")
        else:
            self._logger.info("s3_checks_uploads", by=check)
        return check

    async def _look_at_conditions(self) -> None:
        """Nothing depends on them: some services let several writers win."""
        honoured = await self._is_refused(self._put(IfNoneMatch="*"))
        self._logger.info("s3_conditional_writes", honoured=honoured, used=False)

    async def _require_multipart(self) -> None:
        """Two parts of one byte: most services want five megabytes of all but the last."""
        client = self._bucket.client
        target: Any = {"Bucket": self._bucket.name, "Key": self._name}
        upload = await self._require(client.create_multipart_upload(**target), "s3:PutObject")
        own: Any = {**target, "UploadId": upload["UploadId"]}
        try:
            parts = [
                await self._require(client.upload_part(**own, PartNumber=n, Body=b"x"), "s3:PutObject")
                for n in (1, 2)
            ]
            etags: Any = [{"PartNumber": n, "ETag": part["ETag"]} for n, part in enumerate(parts, 1)]
            is_refused = await self._is_refused(
                client.complete_multipart_upload(**own, MultipartUpload={"Parts": etags})
            )
        finally:
            await self._is_refused(client.abort_multipart_upload(**own))
        self._logger.info("s3_takes_multipart_uploads", smallest_part="5 MiB" if is_refused else "any")

    def _put(self, **options: Any) -> Awaitable[object]:
        return self._bucket.client.put_object(
            Bucket=self._bucket.name, Key=self._name, Body=CONTENT, **options
        )

    async def _require(self, request: Awaitable[T], permission: str) -> T:
        try:
            async with asyncio.timeout(self._bucket.deadline):
                return await request
        except SDK_ERRORS as error:
            raise self._refusals.explained(error, permission) from error

    async def _is_refused(self, request: Awaitable[object]) -> bool:
        """Whether the service says that the request is wrong; a service that fails is no use."""
        try:
            async with asyncio.timeout(self._bucket.deadline):
                await request
        except ClientError as error:
            if status(error) >= 500 and error_code(error) != "NotImplemented":
                raise self._refusals.explained(error, "s3:PutObject") from error
            return True
        except SDK_ERRORS as error:
            raise self._refusals.explained(error, "s3:PutObject") from error
        return False
