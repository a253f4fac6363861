"""Objects into a bucket and out of it, against bare aioboto3 on the same service."""

import asyncio
import io
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aioboto3
from botocore.config import Config

from artstore.core.spec import StorageBackend
from artstore.core.testing import plugin_context
from artstore.plugins.storage_s3.config import S3Config
from artstore.plugins.storage_s3.plugin import open_s3
from benchmarks.comparison import Contender, Sample, compare
from benchmarks.workplace import KIB, MIB, Workplace
from tests.s3.servers import S3Server, running_swift

AIM: Final = 0.8
CHUNK_SIZE: Final = 256 * KIB
CONNECTIONS: Final = 16


@dataclass(frozen=True, slots=True)
class Work:
    """Operations on ``objects`` of one size: so many, so many at the same time."""

    name: str
    size: int
    objects: int
    count: int
    connections: int


Operation = Callable[[str, bytes], Awaitable[None]]


def run(place: Workplace) -> None:
    scale = max(1, round(place.scale.seconds))
    works = (
        Work("10 KB", 10 * 1000, 20, 200 * scale, CONNECTIONS),
        Work("1 MB", MIB, 20, 25 * scale, CONNECTIONS),
        Work("100 MB", 100 * MIB, 1, max(1, scale // 2), 1),
    )
    with running_swift() as server, server.bucket() as bucket:
        for work in works:
            for operation in ("put", "get"):
                _compare(place, work, operation, server, bucket)


def _compare(place: Workplace, work: Work, operation: str, server: S3Server, bucket: str) -> None:
    def measure(contender: Callable[..., Any]) -> Callable[[], Sample]:
        return lambda: asyncio.run(_measured(contender, work, operation, server, bucket))

    compare(
        f"{operation} of {work.name}, {work.connections} at the same time",
        unit="MiB" if work.size >= MIB else "object",
        limit=Contender("bare aioboto3", measure(bare)),
        contenders=[Contender("storage_s3", measure(plugin), aim=AIM)],
        repeats=place.scale.repeats,
        settle=lambda: None,
    )


async def _measured(
    contender: Callable[..., Any], work: Work, operation: str, server: S3Server, bucket: str
) -> Sample:
    content = os.urandom(work.size)
    units = work.count * (work.size / MIB if work.size >= MIB else 1)
    async with contender(server, bucket) as (put, get):
        names = iter([f"{work.name}/{number % work.objects}" for number in range(work.count)])
        for number in range(work.objects if operation == "get" else 1):
            await put(f"{work.name}/{number}", content)

        async def caller() -> None:
            for name in names:
                await (put(name, content) if operation == "put" else get(name, content))

        started, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*[caller() for _ in range(work.connections)])
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return Sample(rate=units / seconds, cpu=cpu / units)


@asynccontextmanager
async def bare(server: S3Server, bucket: str) -> AsyncGenerator[tuple[Operation, Operation], None]:
    """As its documentation has it: one request for what is small, ``upload_fileobj`` for what is not."""
    session: Any = aioboto3.Session(
        aws_access_key_id=server.access_key_id,
        aws_secret_access_key=server.secret_access_key,
        region_name="us-east-1",
    )
    config = Config(max_pool_connections=64, s3={"addressing_style": "path"})
    async with session.client("s3", endpoint_url=server.url, config=config) as client:

        async def put(name: str, content: bytes) -> None:
            if len(content) < 8 * MIB:
                body = content if len(content) < MIB else io.BytesIO(content)
                await client.put_object(Bucket=bucket, Key=name, Body=body)
            else:
                await client.upload_fileobj(io.BytesIO(content), bucket, name)

        async def get(name: str, content: bytes) -> None:
            answer = await client.get_object(Bucket=bucket, Key=name)
            received = 0
            async for chunk in answer["Body"].iter_chunks(CHUNK_SIZE):
                received += len(chunk)
            assert received == len(content)

        yield put, get


@asynccontextmanager
async def plugin(server: S3Server, bucket: str) -> AsyncGenerator[tuple[Operation, Operation], None]:
    """As an element uses it."""
    config = S3Config.model_validate(server.options(bucket))
    async with open_s3(config, plugin_context("storage_s3")) as storage:

        async def put(name: str, content: bytes) -> None:
            await storage.put(name, _chunks(content), size=len(content))

        async def get(name: str, content: bytes) -> None:
            assert await _drained(storage, name) == len(content)

        yield put, get


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), CHUNK_SIZE):
        yield content[start : start + CHUNK_SIZE]


async def _drained(storage: StorageBackend, name: str) -> int:
    async with storage.get(name) as reader:
        return sum([len(chunk) async for chunk in reader.chunks])
