"""The ``memory`` storage type: its options and how it is opened."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from pydantic import Field

from artstore.core.spec import PluginConfig, PluginContext, Provider, StorageBackend, hookimpl
from artstore_storage_memory.backend import MemoryStorage


class MemoryConfig(PluginConfig):
    """The ``storage`` section when ``type = "memory"``."""

    capacity: Annotated[int, Field(ge=1, description="Room for objects, in bytes.")] = 256 * 1024 * 1024


@asynccontextmanager
async def open_memory(config: MemoryConfig, context: PluginContext) -> AsyncGenerator[StorageBackend, None]:
    """An empty storage. What has to be closed would be closed after the ``yield``, in a ``finally``."""
    context.logger.info("memory_storage_opened", capacity=config.capacity)
    yield MemoryStorage(capacity=config.capacity)


@hookimpl
def artstore_storage_providers() -> list[Provider[MemoryConfig, StorageBackend]]:
    """Introduce the ``memory`` type."""
    return [Provider(name="memory", spec=1, config=MemoryConfig, open=open_memory)]
