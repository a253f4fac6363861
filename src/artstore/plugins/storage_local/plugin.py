"""The ``local`` storage type: its options and how it is opened."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from artstore.core.spec import PluginConfig, PluginContext, Provider, StorageBackend, hookimpl
from artstore.plugins.storage_local.backend import open_storage
from artstore.plugins.storage_local.commit_log import LARGEST_BATCH
from artstore.plugins.storage_local.files import Files
from artstore.plugins.storage_local.root import Root

SMALLEST_LOG: Final = 4 * LARGEST_BATCH


def _check_log_size(size: int) -> int:
    if 0 < size < SMALLEST_LOG:
        raise ValueError(f"should be 0 or at least {SMALLEST_LOG}")
    return size


class LocalConfig(PluginConfig):
    """The ``storage`` section when ``type = "local"``."""

    root: Annotated[Path, Field(description="Directory that holds the objects; created if absent.")]
    threads: Annotated[
        int, Field(ge=1, le=256, description="How many files are written or opened at the same time.")
    ] = 16
    commit_log_size: Annotated[
        int,
        Field(
            ge=0,
            description="Bytes of each of the two segments in which small objects are made durable before "
            "they are written as plain files; 0 writes and syncs each file by itself.",
        ),
        AfterValidator(_check_log_size),
    ] = 16 * 1024 * 1024


@asynccontextmanager
async def open_local(config: LocalConfig, context: PluginContext) -> AsyncGenerator[StorageBackend, None]:
    """The objects below ``config.root``."""
    root = Root(config.root, Files(os.fspath(config.root)))
    async with open_storage(
        root, threads=config.threads, context=context, log_size=config.commit_log_size
    ) as storage:
        yield storage


@hookimpl
def artstore_storage_providers() -> list[Provider[LocalConfig, StorageBackend]]:
    """Introduce the ``local`` type."""
    return [Provider(name="local", spec=1, config=LocalConfig, open=open_local)]
