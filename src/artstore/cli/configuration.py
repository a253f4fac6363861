"""`artstore config`: what is configured, and what could be."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import JsonValue

from artstore.cli.composition import ROLES, make_app, plugin_sections
from artstore.cli.directory import CONFIG_NAME, DEFAULT_DATA
from artstore.cli.output import JsonOption, console, print_json, print_table
from artstore.cli.production import refuse_unsafe
from artstore.core.config import Settings, read_settings
from artstore.core.registry import KINDS, SECRETS, Registry
from artstore.core.spec import PluginError

app: Final = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Check, show and describe the configuration."
)

ConfigOption = Annotated[Path, typer.Option("--config", metavar="FILE", help="Configuration file.")]
DEFAULT_CONFIG: Final = DEFAULT_DATA / CONFIG_NAME


@app.command()
def check(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Say whether the configuration can be used, without starting anything."""
    settings = read_settings(config)
    registry = Registry(base_directory=settings.base_directory)
    for kind, section in _sections(registry, settings):
        # What is a secret is looked up at start; here it only has to be a text.
        registry.config(
            kind,
            section.model_copy(
                update={name: _without_references(value) for name, value in section.options.items()}
            ),
        )
    for role in ROLES:
        make_app(role, settings)
    refuse_unsafe(settings, config)
    console.print(f"{config} can be used", markup=False)


@app.command()
def show(config: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> None:
    """Print the settings in force: the file, overridden by the environment. Secrets are hidden."""
    settings = read_settings(config).model_dump(mode="json", exclude_none=True)
    plain = {name: _hidden(value, name) for name, value in settings.items()}
    if json:
        print_json(plain)
    else:
        print_table(("setting", "value"), _flat(plain))


@app.command()
def schema(
    plugin: Annotated[str | None, typer.Argument(help="A plugin such as storage_local.")] = None,
) -> None:
    """Print the JSON Schema of the configuration file, or of one plugin's options."""
    if plugin is None:
        print_json(Settings.model_json_schema())
        return
    kind_name, _, type_name = plugin.partition("_")
    kind = next((kind for kind in KINDS if kind.name == kind_name), None)
    if kind is None:
        raise PluginError(
            f"{plugin} is not of the form KIND_TYPE; kinds are {', '.join(k.name for k in KINDS)}"
        )
    print_json(Registry(base_directory=Path()).provider(kind, type_name).config.model_json_schema())


def configured_plugins(settings: Settings) -> frozenset[str]:
    """The names of all plugins that some section selects."""
    registry = Registry(base_directory=settings.base_directory)
    return frozenset(f"{kind.name}_{section.type}" for kind, section in _sections(registry, settings))


def _sections(registry: Registry, settings: Settings) -> list[tuple[Any, Any]]:
    found = [(SECRETS, section) for section in settings.secrets]
    for role in ROLES:
        found += [(kind, section) for _, kind, section in plugin_sections(role, registry, settings)]
    return found


def _without_references(value: JsonValue) -> JsonValue:
    """``{secret = "name"}`` as some text, so that the options can be validated without secrets."""
    if isinstance(value, dict):
        if set(value) == {"secret"}:
            return "looked up at start"
        return {key: _without_references(item) for key, item in value.items()}
    return [_without_references(item) for item in value] if isinstance(value, list) else value


def _hidden(value: JsonValue, name: str = "") -> JsonValue:
    """Values whose name says that they are secret are never printed, wherever they were written."""
    if isinstance(value, dict):
        return {key: _hidden(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item, name) for item in value]
    is_secret = any(word in name.lower() for word in ("secret", "password", "token", "key", "credential"))
    return "********" if is_secret and isinstance(value, str) else value


def _flat(value: dict[str, JsonValue], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, item in value.items():
        if isinstance(item, dict):
            rows += _flat(item, f"{prefix}{name}.")
        elif isinstance(item, list) and item:
            rows += _flat({f"{name}[{index}]": each for index, each in enumerate(item)}, prefix)
        else:
            rows.append((prefix + name, str(item)))
    return rows
