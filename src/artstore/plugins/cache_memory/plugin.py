"""The ``memory`` cache: its options and how it is opened."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from pydantic import Field

from artstore.core.spec import Cache, PluginConfig, PluginContext, Provider, hookimpl
from artstore.plugins.cache_memory.backend import MemoryCache


class MemoryCacheConfig(PluginConfig):
    """The ``cache`` section when ``type = "memory"``."""

    max_entries: Annotated[
        int, Field(ge=1, description="How many values are kept, and how many counters.")
    ] = 100_000


@asynccontextmanager
async def open_memory_cache(config: MemoryCacheConfig, context: PluginContext) -> AsyncGenerator[Cache, None]:
    """A cache that lives and dies with this process."""
    yield MemoryCache(context, max_entries=config.max_entries)


@hookimpl
def artstore_cache_providers() -> list[Provider[MemoryCacheConfig, Cache]]:
    """Introduce the ``memory`` type."""
    return [Provider(name="memory", spec=1, config=MemoryCacheConfig, open=open_memory_cache)]
