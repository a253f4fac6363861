"""The ``s3`` storage type: how it is opened."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from artstore.core.spec import PluginContext, Provider, StorageBackend, hookimpl
from artstore.plugins.storage_s3.config import S3Config


@asynccontextmanager
async def open_s3(config: S3Config, context: PluginContext) -> AsyncGenerator[StorageBackend, None]:
    """The objects of ``config.bucket`` below ``config.prefix``."""
    # In a thread: the SDK is large, and the event loop has other things to do.
    open_storage = await asyncio.to_thread(_import_opening)
    async with open_storage(config, context) as storage:
        yield storage


def _import_opening() -> Callable[[S3Config, PluginContext], AbstractAsyncContextManager[StorageBackend]]:
    from artstore.plugins.storage_s3.opening import open_storage

    return open_storage


@hookimpl
def artstore_storage_providers() -> list[Provider[S3Config, StorageBackend]]:
    """Introduce the ``s3`` type."""
    return [Provider(name="s3", spec=1, config=S3Config, open=open_s3)]
