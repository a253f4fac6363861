"""The ``local`` storage type: its options and how it is opened."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from pydantic import Field

from artstore.core.spec import PluginConfig, PluginContext, Provider, StorageBackend, hookimpl
from artstore.plugins.storage_local.backend import open_storage
from artstore.plugins.storage_local.files import Files
from artstore.plugins.storage_local.root import Root


class LocalConfig(PluginConfig):
    """The ``storage`` section when ``type = "local"``."""

    root: Annotated[Path, Field(description="Directory that holds the objects; created if absent.")]
    threads: Annotated[
        int, Field(ge=1, le=256, description="How many files are written or opened at the same time.")
    ] = 16


@asynccontextmanager
async def open_local(config: LocalConfig, context: PluginContext) -> AsyncGenerator[StorageBackend, None]:
    """The objects below ``config.root``."""
    root = Root(config.root, Files())
    async with open_storage(root, threads=config.threads, logger=context.logger) as storage:
        yield storage


@hookimpl
def artstore_storage_providers() -> list[Provider[LocalConfig, StorageBackend]]:
    """Introduce the ``local`` type."""
    return [Provider(name="local", spec=1, config=LocalConfig, open=open_local)]
