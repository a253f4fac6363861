"""`artstore plugins`: what is installed and enabled, and whether a back end keeps its contract."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint, version
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import BaseModel

from artstore.cli.configuration import DEFAULT_CONFIG, ConfigOption, configured_plugins
from artstore.cli.output import JsonOption, console, print_json, print_table
from artstore.cli.secrets_chain import prepare_secrets
from artstore.core.config import PluginSection, Settings, read_settings
from artstore.core.logging import configure_logging
from artstore.core.metrics import Metrics
from artstore.core.registry import KINDS, STORAGE, Registry, installed_plugins
from artstore.core.spec import ArtStoreError, ConfigurationError, PluginError, StorageBackend

app: Final = typer.Typer(add_completion=False)


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


@app.callback(invoke_without_command=True)
def plugins(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Tells which are enabled.")
    ] = None,
    capabilities: Annotated[
        bool, typer.Option("--capabilities", help="Open the configured storage and ask what it can do.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """List the installed plugins, which the configuration enables, and their options; or check one."""
    if context.invoked_subcommand is not None:
        return
    path = config or (DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None)
    found = _list(read_settings(path) if path else None, ask=capabilities)
    if json:
        print_json(found)
        return
    columns = ("plugin", "distribution", "version", "enabled", "options", "capabilities")
    shown = len(columns) if capabilities else -1
    print_table(columns[:shown], [_row(plugin)[:shown] for plugin in found])
    for plugin in found:
        if plugin.problem is not None:
            console.print(f"{plugin.name}: {plugin.problem}", markup=False)


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A storage plugin such as storage_local.")],
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Run the contract against the back end that the configuration names, and say whether it keeps it.

    Works below a prefix of its own, `artstore-check/`, touches no other object, and removes what it made.
    The exit code is 0 if the back end keeps the contract and 1 if not.
    """
    from artstore.cli.plugin_checks import run_checks

    settings = read_settings(config)
    section = _configured_storage(name, settings, config)
    configure_logging(log_format=settings.logging.format, level="error")
    if not run_checks(plugin_info(name), StorageOpener(settings, section), json=json):
        raise typer.Exit(1)


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


def _list(settings: Settings | None, *, ask: bool) -> list[PluginInfo]:
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
            configure_logging(log_format=settings.logging.format, level="error")
            details["capabilities"] = asyncio.run(StorageOpener(settings, settings.storage).capabilities())
    except (ArtStoreError, ConfigurationError) as error:
        details["problem"] = str(error)
    return plugin.model_copy(update=details)


def _row(plugin: PluginInfo) -> tuple[str, ...]:
    enabled = "yes" if plugin.enabled else "no"
    listed = [", ".join(names or ()) for names in (plugin.options, plugin.capabilities)]
    return (plugin.name, plugin.distribution, plugin.version, enabled, *listed)


def _configured_storage(name: str, settings: Settings, config: Path) -> PluginSection:
    """The section of the plugin that is to be checked.

    Raises:
        PluginError: there is nothing to check: of another kind, not installed, or not configured.
    """
    kind_name, _, type_name = name.partition("_")
    if kind_name in {kind.name for kind in KINDS} - {STORAGE.name}:
        raise PluginError(
            f"{name} is no storage: only storage can be checked in place; its author proves it with the "
            f"contract for {kind_name} in artstore.core.testing"
        )
    plugin_info(name)
    if settings.storage.type != type_name:
        raise PluginError(
            f"[storage] in {config} has type {settings.storage.type}, not {type_name}: "
            f"change it, or check storage_{settings.storage.type}"
        )
    return settings.storage
