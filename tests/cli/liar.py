"""A storage plugin that looks right: it stores, lists and gives back, and honours little of what it is told.

Like any plugin it imports nothing of the test kit.
"""

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import asynccontextmanager
from pathlib import Path

from artstore.core.spec import (
    ByteRange,
    ObjectInfo,
    PluginConfig,
    PluginContext,
    Provider,
    StorageBackend,
    StorageReader,
    hookimpl,
)
from artstore.plugins.storage_local.backend import LocalStorage, open_storage
from artstore.plugins.storage_local.files import Files
from artstore.plugins.storage_local.root import Root


class LiarConfig(PluginConfig):
    root: Path


class Liar(LocalStorage):
    """Takes every body for what it was said to be, and gives everything to whoever asks for a part."""

    async def put(
        self, key: str, body: AsyncIterable[bytes], *, size: int | None = None, sha256: str | None = None
    ) -> ObjectInfo:
        return await super().put(key, body)

    @asynccontextmanager
    async def get(
        self, key: str, *, byte_range: ByteRange | None = None
    ) -> AsyncGenerator[StorageReader, None]:
        async with super().get(key) as reader:
            yield reader


@asynccontextmanager
async def open_liar(config: LiarConfig, context: PluginContext) -> AsyncGenerator[StorageBackend, None]:
    async with open_storage(Root(config.root, Files()), threads=4, context=context) as storage:
        storage.__class__ = Liar
        yield storage


@hookimpl
def artstore_storage_providers() -> list[Provider[LiarConfig, StorageBackend]]:
    return [Provider(name="liar", spec=1, config=LiarConfig, open=open_liar)]
