"""What is known of installed plugins, and of the storage that a configuration names."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint, version
from typing import Any

from pydantic import BaseModel

from artstore.cli.configuration import configured_plugins
from artstore.cli.secrets_chain import prepare_secrets
from artstore.core.config import PluginSection, Settings
from artstore.core.metrics import Metrics
from artstore.core.registry import KINDS, STORAGE, Registry, installed_plugins
from artstore.core.spec import ArtStoreError, ConfigurationError, PluginError, StorageBackend


class PluginInfo(BaseModel):
    """An installed plugin. What only its code can tell is told of enabled ones: others are not imported."""

    name: str
    distribution: str
    version: str
    enabled: bool
    options: list[str] | None = None
    config_schema: dict[str, Any] | None = None
    capabilities: list[str] | None = None
    problem: str | None = None


class StorageOpener:
    """Opens the configured storage as a role would, any number of times, one after the other."""

    def __init__(self, settings: Settings, section: PluginSection) -> None:
        self._registry = Registry(base_directory=settings.base_directory)
        self._registry.provider(STORAGE, section.type)
        self._open_secrets = prepare_secrets(self._registry, settings)
        self._section = section

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[StorageBackend, None]:
        """Hold it open."""
        metrics = Metrics(role="check")
        async with (
            self._open_secrets(metrics) as secrets,
            self._registry.open(STORAGE, self._section, secrets=secrets, metrics=metrics) as storage,
        ):
            yield storage

    async def capabilities(self) -> list[str]:
        """What it is and can do.

        Raises:
            PluginError: it cannot be opened and does not say why as plugins should.
        """
        try:
            async with self.open() as storage:
                return storage.capabilities.names()
        except (ArtStoreError, ConfigurationError):
            raise
        except Exception as error:
            name = f"storage_{self._section.type}"
            raise PluginError(f"{name} cannot be opened: {type(error).__name__}: {error}") from error


def plugin_info(name: str) -> PluginInfo:
    """What its distribution says of an installed plugin.

    Raises:
        PluginError: it is not installed.
    """
    for entry_point in installed_plugins():
        if entry_point.name == name:
            return _info(entry_point, enabled=True)
    raise PluginError(f"plugin {name} is not installed; `artstore plugins` lists those that are")


def list_plugins(settings: Settings | None, *, ask: bool) -> list[PluginInfo]:
    """Every installed plugin; with ``ask`` the configured storage is opened to learn what it can do."""
    enabled = configured_plugins(settings) if settings else frozenset[str]()
    found = [_info(entry_point, enabled=entry_point.name in enabled) for entry_point in installed_plugins()]
    return [_with_details(plugin, settings, ask=ask) if settings else plugin for plugin in found]


def _info(entry_point: EntryPoint, *, enabled: bool) -> PluginInfo:
    distribution = entry_point.dist.name if entry_point.dist else None
    return PluginInfo(
        name=entry_point.name,
        distribution=distribution or "unknown",
        version=version(distribution) if distribution else "unknown",
        enabled=enabled,
    )


def _with_details(plugin: PluginInfo, settings: Settings, *, ask: bool) -> PluginInfo:
    """What the code of an enabled plugin tells, or why it cannot tell."""
    if not plugin.enabled:
        return plugin
    kind_name, _, type_name = plugin.name.partition("_")
    kind = next(kind for kind in KINDS if kind.name == kind_name)
    details: dict[str, object] = {}
    try:
        config = Registry(base_directory=settings.base_directory).provider(kind, type_name).config
        details |= {"options": list(config.model_fields), "config_schema": config.model_json_schema()}
        if ask and kind is STORAGE:
            details["capabilities"] = asyncio.run(StorageOpener(settings, settings.storage).capabilities())
    except (ArtStoreError, ConfigurationError) as error:
        details["problem"] = str(error)
    return plugin.model_copy(update=details)
