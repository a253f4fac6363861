"""How another process opens a back end: what the configuration says of it, which can be written down."""

import importlib
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from artstore.core.spec import Provider, StorageBackend
from artstore.core.testing.context import plugin_context


@dataclass(frozen=True, slots=True)
class StorageOpening:
    """The module of a plugin, the type it provides, and options as they are configured."""

    plugin: str
    type: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def provider(self) -> Provider[Any, StorageBackend]:
        """Import the plugin, which blocks, and find the provider of the type."""
        providers: list[Provider[Any, StorageBackend]] = importlib.import_module(
            self.plugin
        ).artstore_storage_providers()
        return next(provider for provider in providers if provider.name == self.type)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[StorageBackend, None]:
        """Hold the back end open, as the only one at work. Call ``provider`` beforehand, outside the loop."""
        provider = self.provider()
        config = provider.config.model_validate(self.options)
        async with provider.open(config, plugin_context(f"storage_{self.type}")) as storage:
            if (exclusive_use := storage.capabilities.exclusive_use) is not None:
                await exclusive_use.take_over(lambda key: True)
            yield storage

    def to_json(self) -> str:
        """One line."""
        told = {"plugin": self.plugin, "type": self.type, "options": dict(self.options)}
        return json.dumps(told, default=str)

    @classmethod
    def from_json(cls, line: str) -> "StorageOpening":
        """What ``to_json`` wrote."""
        return cls(**json.loads(line))
