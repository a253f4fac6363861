"""`artstore plugins`: what is installed and enabled, and whether a back end keeps its contract."""

from pathlib import Path
from typing import Annotated, Final

import typer

from artstore.cli.configuration import DEFAULT_CONFIG, ConfigOption
from artstore.cli.output import JsonOption, console, print_json, print_table
from artstore.cli.plugin_checks import run_checks
from artstore.cli.plugin_info import PluginInfo, StorageOpener, list_plugins, plugin_info
from artstore.core.config import PluginSection, Settings, read_settings
from artstore.core.logging import configure_logging
from artstore.core.registry import KINDS, STORAGE
from artstore.core.spec import PluginError

app: Final = typer.Typer(add_completion=False)


@app.callback(invoke_without_command=True)
def plugins(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Configuration file that says which are enabled."),
    ] = None,
    capabilities: Annotated[
        bool, typer.Option("--capabilities", help="Open the configured storage and ask what it can do.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """List the installed plugins, which are enabled, and their options; or check one."""
    if context.invoked_subcommand is not None:
        return
    path = config or (DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None)
    settings = read_settings(path) if path else None
    if settings is not None:
        configure_logging(log_format=settings.logging.format, level="error")
    found = list_plugins(settings, ask=capabilities)
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
    """Run the contract against the configured back end, and say whether it keeps it.

    Works below a prefix of its own, `artstore-check/`, touches no other object, and removes what it made.
    The exit code is 0 if the back end keeps the contract and 1 if not.
    """
    settings = read_settings(config)
    section = _configured_storage(name, settings, config)
    configure_logging(log_format=settings.logging.format, level="error")
    if not run_checks(plugin_info(name), StorageOpener(settings, section), json=json):
        raise typer.Exit(1)


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
