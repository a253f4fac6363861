"""Requests to one bucket: each is answered, or ends in a domain error, within bounded time."""

import asyncio
import re
from collections.abc import Coroutine, Mapping
from copy import copy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from artstore.core.spec import ArtStoreError, NotFoundError, ObjectInfo, PluginContext, UnavailableError
from artstore.plugins.storage_s3.config import S3Config
from artstore.plugins.storage_s3.errors import domain_errors

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

T = TypeVar("T")

LONGEST_PAUSE: Final = 20.0
"""Seconds that the SDK waits at most before it repeats a request."""

SHA256: Final = "artstore-sha256"
"""Metadata of an object: its digest, where that was known before its last byte was sent."""
PUT_ID: Final = "artstore-put"
"""Metadata of an object: which call stored it, so that a call whose answer was lost finds its own."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class Bucket:
    """The SDK's client, bound to a bucket. ``deadline`` is in seconds, for a request and its repetitions."""

    def __init__(self, client: "S3Client", config: S3Config, context: PluginContext) -> None:
        self.client = client
        self.name = config.bucket
        self.attempts = config.attempts
        self.page_size = config.page_size
        # A request is prepared and signed when there is a connection for it, not in a queue of thousands.
        self._turns = asyncio.Semaphore(config.max_connections)
        self._count_repeated = context.metrics.counter(
            "requests_repeated_total", "Requests sent again after throttling, a time-out or a failure."
        )
        # The SDK has no limit of its own for a peer that stops reading what it is sent.
        once = config.connect_timeout + 2 * config.read_timeout + LONGEST_PAUSE
        self.deadline = config.attempts * once

    def through(self, client: "S3Client") -> "Bucket":
        """The same bucket, asked through another client."""
        other = copy(self)
        other.client = client
        return other

    async def call(self, request: Coroutine[Any, Any, T], *, key: str | None = None) -> T:
        """What the service answers.

        Raises:
            ArtStoreError: as :func:`domain_errors` says; absence names ``key``.
        """
        try:
            with domain_errors():
                async with self._turns, asyncio.timeout(self.deadline):
                    answer = await request
        except NotFoundError as error:
            raise NotFoundError(f"there is no object {key!r}") from error
        finally:
            request.close()  # it may have been cancelled before its turn came
        self._count_repetitions(answer)
        return answer

    async def head(self, name: str, key: str) -> "Described":
        """What the bucket has under ``name``, which is the object ``key``."""
        answer = await self.call(self.client.head_object(Bucket=self.name, Key=name), key=key)
        return Described(key, answer, size=required(answer, "ContentLength"))

    async def delete(self, name: str) -> None:
        """Remove what is there, if anything is."""
        try:
            await self.call(self.client.delete_object(Bucket=self.name, Key=name))
        except NotFoundError:
            return

    async def find(self, name: str, key: str, put_id: str) -> ObjectInfo | None:
        """The object that the call ``put_id`` stored, if it is there and can be seen."""
        try:
            found = await self.head(name, key)
        except ArtStoreError:
            return None
        return found.info if found.put_id == put_id else None

    def _count_repetitions(self, answer: object) -> None:
        if isinstance(answer, Mapping):
            metadata = cast("Mapping[str, Any]", answer).get("ResponseMetadata", {})
            if repetitions := metadata.get("RetryAttempts", 0):
                self._count_repeated(repetitions)


class Described:
    """What an answer to GET or HEAD says of an object of ``size`` bytes."""

    def __init__(self, key: str, answer: Mapping[str, Any], *, size: int) -> None:
        metadata: Mapping[str, str] = answer.get("Metadata", {})
        sha256 = metadata.get(SHA256, "")
        self.put_id = metadata.get(PUT_ID)
        self.info = ObjectInfo(
            key=key,
            size=size,
            etag=etag_of(answer),
            modified_at=whole_seconds(required(answer, "LastModified")),
            sha256=sha256 if _DIGEST.fullmatch(sha256) else None,
        )


def etag_of(answer: Mapping[str, Any]) -> str:
    """The etag that an answer or an entry of a listing tells, without its quotes."""
    return str(required(answer, "ETag")).strip('"')


def required(answer: Mapping[str, Any], fact: str) -> Any:
    """What S3 always tells.

    Raises:
        UnavailableError: this service does not: whatever answered, it was not S3.
    """
    if fact not in answer:
        raise UnavailableError(f"the storage did not tell {fact}")
    return answer[fact]


def whole_seconds(moment: datetime) -> datetime:
    """Some services say more in a listing than in the header of the object."""
    return moment.astimezone(UTC).replace(microsecond=0)
