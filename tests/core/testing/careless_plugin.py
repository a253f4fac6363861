"""Storage that looks right until its process is killed: each type breaks one clause of the contract."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from artstore.core.spec import (
    ObjectInfo,
    PluginConfig,
    PluginContext,
    Provider,
    StorageBackend,
    hookimpl,
)
from artstore.core.testing import FaultyStorage
from artstore.plugins.storage_local.plugin import LocalConfig, open_local

LAG = 0.05


class CarelessConfig(PluginConfig):
    root: Path


class InPlace(FaultyStorage):
    """Writes an object where it belongs while it arrives."""

    async def put(
        self, key: str, body: AsyncIterable[bytes], *, size: int | None = None, sha256: str | None = None
    ) -> ObjectInfo:
        written, digest = 0, hashlib.sha256()
        paths = self.capabilities.local_paths
        assert paths is not None
        path = paths.path(key)
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        with await asyncio.to_thread(path.open, "wb", 0) as file:
            async for chunk in body:
                written += await asyncio.to_thread(file.write, chunk)
                digest.update(chunk)
        return ObjectInfo(key, written, digest.hexdigest(), datetime.now(UTC), digest.hexdigest())


class Hasty(FaultyStorage):
    """Acknowledges what it will write soon."""

    def __init__(self, storage: StorageBackend) -> None:
        super().__init__(storage)
        self._writing: set[asyncio.Task[None]] = set()

    async def put(
        self, key: str, body: AsyncIterable[bytes], *, size: int | None = None, sha256: str | None = None
    ) -> ObjectInfo:
        content = b"".join([chunk async for chunk in body])
        digest = hashlib.sha256(content).hexdigest()
        self._writing.add(asyncio.create_task(self._write(key, content)))
        return ObjectInfo(key, len(content), digest, datetime.now(UTC), digest)

    async def written(self) -> None:
        """Wait for everything that it has acknowledged."""
        await asyncio.gather(*self._writing)

    async def _write(self, key: str, content: bytes) -> None:
        await asyncio.sleep(LAG)
        await super().put(key, _once(content))


async def _once(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content


@asynccontextmanager
async def open_in_place(
    config: CarelessConfig, context: PluginContext
) -> AsyncGenerator[StorageBackend, None]:
    async with open_local(LocalConfig(root=config.root, commit_log_size=0), context) as storage:
        yield InPlace(storage)


@asynccontextmanager
async def open_hasty(config: CarelessConfig, context: PluginContext) -> AsyncGenerator[StorageBackend, None]:
    async with open_local(LocalConfig(root=config.root, commit_log_size=0), context) as storage:
        hasty = Hasty(storage)
        yield hasty
        await hasty.written()


@hookimpl
def artstore_storage_providers() -> list[Provider[CarelessConfig, StorageBackend]]:
    return [
        Provider(name="in_place", spec=1, config=CarelessConfig, open=open_in_place),
        Provider(name="hasty", spec=1, config=CarelessConfig, open=open_hasty),
    ]
