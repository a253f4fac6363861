"""What an operator asks an element about fixity, and storages that make scrubbing hard."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from artstore.core.spec import ByteRange, Capabilities, ObjectInfo, StorageReader
from tests.services.storage_element.faulty_storage import FaultyStorage
from tests.services.storage_element.harness import POLL_INTERVAL, ElementClient

RUNS = "/api/v1/fixity"


async def begin_run(element: ElementClient, **asked: object) -> str:
    """Ask for a run; its id."""
    answer = await element.request("POST", RUNS, json=asked)
    assert answer.status == 202, answer
    return str(answer.json()["run_id"])


async def finished(element: ElementClient, run_id: str) -> dict[str, Any]:
    """A run, once it has ended."""
    while True:
        run: dict[str, Any] = await element.get(f"{RUNS}/runs/{run_id}")
        if run["state"] == "finished":
            return run
        await asyncio.sleep(POLL_INTERVAL)


async def scrubbed(element: ElementClient, **asked: object) -> dict[str, Any]:
    """Read files again; the run."""
    return await finished(element, await begin_run(element, **asked))


async def bad_files(element: ElementClient) -> dict[str, str]:
    """What was found of each bad file."""
    report = await element.get(f"{RUNS}/report")
    return {item["file_id"]: item["outcome"] for item in report["items"]}


async def fixity_of(element: ElementClient, file_id: str) -> dict[str, Any]:
    found: dict[str, Any] = await element.get(f"/api/v1/files/{file_id}/fixity")
    return found


class OpaqueStorage(FaultyStorage):
    """Objects that are no local files, as those of an object store.

    ``before_get`` is called before each is opened.
    """

    before_get: Callable[[str], Awaitable[object]] | None = None

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, local_paths=None)

    @asynccontextmanager
    async def get(
        self, key: str, *, byte_range: ByteRange | None = None
    ) -> AsyncGenerator[StorageReader, None]:
        if self.before_get is not None:
            await self.before_get(key)
        async with super().get(key, byte_range=byte_range) as reader:
            yield reader


class SampleLosingStorage(FaultyStorage):
    """Says that it has stored the known-bad sample, and has not."""

    async def put(
        self, key: str, body: AsyncIterable[bytes], *, size: int | None = None, sha256: str | None = None
    ) -> ObjectInfo:
        info = await super().put(key, body, size=size, sha256=sha256)
        if key == "fixity-sample":
            await self.delete(key)
        return info
