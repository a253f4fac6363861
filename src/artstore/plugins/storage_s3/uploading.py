"""Storing objects: in one request, or in parts that become the object when all of them are there."""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from artstore.core.spec import ArtStoreError, NotFoundError, ObjectInfo, PluginContext, UnavailableError
from artstore.plugins.storage_s3.bucket import PUT_ID, SHA256, Bucket, etag_of, required, whole_seconds
from artstore.plugins.storage_s3.parts import Body, Check, Part, encoded
from artstore.plugins.storage_s3.reading import open_reader

if TYPE_CHECKING:
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef


@dataclass(frozen=True, slots=True)
class Target:
    """Where a body goes. ``put_id`` marks what this very call stores."""

    key: str
    name: str
    put_id: str


class Uploads:
    """All uploads of one back end; together they send ``parallel_parts`` parts at a time."""

    def __init__(
        self, bucket: Bucket, *, part_size: int, parallel_parts: int, check: Check, context: PluginContext
    ) -> None:
        self.in_progress: set[str] = set()
        """Ids of the multipart uploads that this process has begun."""
        self._bucket = bucket
        self._part_size = part_size
        self._slots = asyncio.Semaphore(parallel_parts)
        self._check: Check = check
        self._logger = context.logger
        self._count_lost_answer = context.metrics.counter(
            "lost_answers_total", "Uploads whose answer was lost and that turned out to be stored"
        )

    async def put(self, key: str, name: str, body: Body, *, sha256: str | None) -> ObjectInfo:
        """Store ``body``, of which the digest ``sha256`` was declared, if any was."""
        target = Target(key, name, uuid4().hex)
        async with aclosing(body.parts(self._part_size)) as parts:
            first = await anext(parts)
            if first.is_last:
                info = await self._put_whole(target, first, body.sha256)
            else:
                info = await self._put_in_parts(target, _chain(first, parts), body, sha256=sha256)
        info = replace(info, size=body.size, sha256=body.sha256)
        if self._check == "reading back":
            await self._read_back(target, info)
        return info

    async def _put_whole(self, target: Target, part: Part, sha256: str) -> ObjectInfo:
        digest = encoded(bytes.fromhex(sha256)) if self._check == "sha256" else None
        request = self._bucket.client.put_object(
            Bucket=self._bucket.name,
            Key=target.name,
            Body=part.body(),
            ContentLength=part.size,
            Metadata={PUT_ID: target.put_id, SHA256: sha256},
            **await self._checked(part, digest),
        )
        return await self._settled(target, request)

    async def _put_in_parts(
        self, target: Target, parts: AsyncIterator[Part], body: Body, *, sha256: str | None
    ) -> ObjectInfo:
        upload_id = await self._begin(target, sha256)
        try:
            completed = await self._send_all(target, upload_id, parts)
            info = await self._complete(target, upload_id, completed)
        except BaseException:
            # Shielded: a second cancellation must not leave the parts behind.
            await asyncio.shield(self._abort(target, upload_id))
            raise
        finally:
            self.in_progress.discard(upload_id)
        return await self._require_size(target, info, body.size)

    async def _begin(self, target: Target, sha256: str | None) -> str:
        """Begin a multipart upload; its id. The digest goes along only where it is known by now."""
        checked: Any = {"ChecksumAlgorithm": "SHA256"} if self._check == "sha256" else {}
        answer = await self._bucket.call(
            self._bucket.client.create_multipart_upload(
                Bucket=self._bucket.name,
                Key=target.name,
                Metadata={PUT_ID: target.put_id} | ({} if sha256 is None else {SHA256: sha256}),
                **checked,
            )
        )
        upload_id: str = required(answer, "UploadId")
        self.in_progress.add(upload_id)
        return upload_id

    async def _send_all(
        self, target: Target, upload_id: str, parts: AsyncIterator[Part]
    ) -> Sequence["CompletedPartTypeDef"]:
        """Send parts side by side; what is in memory is what is being sent and the one being gathered."""
        completed: list[CompletedPartTypeDef] = []
        sending: deque[asyncio.Task[CompletedPartTypeDef]] = deque()
        try:
            async for part in parts:
                await self._slots.acquire()
                task = asyncio.create_task(self._send(target, upload_id, part))
                task.add_done_callback(lambda _: self._slots.release())
                sending.append(task)
                while sending and sending[0].done():
                    completed.append(sending.popleft().result())
            return completed + await asyncio.gather(*sending)
        finally:
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)

    async def _send(self, target: Target, upload_id: str, part: Part) -> "CompletedPartTypeDef":
        checked = await self._checked(part, None)
        answer = await self._bucket.call(
            self._bucket.client.upload_part(
                Bucket=self._bucket.name,
                Key=target.name,
                UploadId=upload_id,
                PartNumber=part.number,
                Body=part.body(),
                ContentLength=part.size,
                **checked,
            )
        )
        completed: CompletedPartTypeDef = {"PartNumber": part.number, "ETag": required(answer, "ETag")}
        if self._check == "sha256":
            completed["ChecksumSHA256"] = checked["ChecksumSHA256"]
        return completed

    async def _checked(self, part: Part, digest: str | None) -> dict[str, Any]:
        """What lets the service check a part; ``digest`` where it is known already."""
        if self._check == "reading back":
            return {}
        digest = digest or await asyncio.to_thread(part.digest, self._check)
        return {"ChecksumSHA256" if self._check == "sha256" else "ContentMD5": digest}

    async def _complete(
        self, target: Target, upload_id: str, parts: Sequence["CompletedPartTypeDef"]
    ) -> ObjectInfo:
        request = self._bucket.client.complete_multipart_upload(
            Bucket=self._bucket.name,
            Key=target.name,
            UploadId=upload_id,
            MultipartUpload={"Parts": parts},
        )
        return await self._settled(target, request)

    async def _settled(self, target: Target, request: Coroutine[Any, Any, Mapping[str, Any]]) -> ObjectInfo:
        """What a request stored that makes the object; if its answer is no use, what it did is looked up."""
        try:
            return _described(target.key, await self._bucket.call(request))
        except UnavailableError:
            if (found := await self._find_own(target)) is None:
                raise
            return found

    async def _find_own(self, target: Target) -> ObjectInfo | None:
        """What a request has stored of which we had no good answer."""
        found = await self._bucket.find(target.name, target.key, target.put_id)
        if found is not None:
            self._count_lost_answer()
            self._logger.info("lost_answer_settled")
        return found

    async def _require_size(self, target: Target, info: ObjectInfo, size: int) -> ObjectInfo:
        """What the service made of the parts, unless somebody else has replaced it by now."""
        found = await self._bucket.head(target.name, target.key)
        if found.put_id != target.put_id:
            return info
        if found.info.size != size:
            raise UnavailableError(f"the storage made {found.info.size} bytes of {size} that it was sent")
        return found.info

    async def _read_back(self, target: Target, info: ObjectInfo) -> None:
        """The service checks nothing: see what it has."""
        digest = hashlib.sha256()
        try:
            async with open_reader(self._bucket, name=target.name, key=target.key, byte_range=None) as reader:
                async for chunk in reader.chunks:
                    digest.update(chunk)
        except NotFoundError:
            return
        if reader.info.etag == info.etag and digest.hexdigest() != info.sha256:
            raise UnavailableError("the storage has other bytes than it was sent")

    async def _abort(self, target: Target, upload_id: str) -> None:
        """Remove the parts; if it cannot be done now, the collector of leftovers does it."""
        try:
            await self._bucket.call(
                self._bucket.client.abort_multipart_upload(
                    Bucket=self._bucket.name, Key=target.name, UploadId=upload_id
                )
            )
        except ArtStoreError as error:
            self._logger.warning("upload_not_aborted", reason=error.detail)


def _described(key: str, answer: Mapping[str, Any]) -> ObjectInfo:
    """What the answer tells; the time is that at which it was given."""
    try:
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    except (KeyError, ValueError):
        now = datetime.now(UTC)
    return ObjectInfo(key=key, size=0, etag=etag_of(answer), modified_at=whole_seconds(now))


async def _chain(first: Part, rest: AsyncIterator[Part]) -> AsyncIterator[Part]:
    yield first
    async for part in rest:
        yield part
