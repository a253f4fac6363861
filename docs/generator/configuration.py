"""The page of the configuration: every key of every section and of every plugin of ours."""

import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from artstore.core.config import PluginSection, Settings
from artstore.core.registry import KINDS, Registry, installed_plugins
from docs.generator.markdown import plain, table, value

INTRODUCTION: Final = """\
One TOML file for all roles; `artstore init` writes one with comments. A variable overrides a key of the file:
`ARTSTORE__ELEMENT__MODE=rw` sets `mode` in `[element]`. Unknown keys are refused. Relative paths start at the
directory of the file. `artstore config check` says whether a file can be used, `artstore config show` what is
in force; `artstore config schema` gives its JSON Schema."""

PLUGINS: Final = """\
`[storage]`, `[catalog]`, `[metadata]`, `[cache]`, `[auth]` and each `[[secrets]]` have a `type`, which names
the plugin, and the options of that plugin. `[catalog]` and `[metadata]` take plugins of the kind metadata.
Except in `[[secrets]]`, an option may be written `{ secret = "name" }`: the secrets chain gives its value.
The chain asks each `[[secrets]]` in the order of the file."""


def page() -> Iterator[str]:
    """Sections first, then the options of plugins."""
    yield "# Configuration"
    yield INTRODUCTION
    yield "## Top level"
    yield from _keys(Settings)
    yield from _sections(Settings, prefix="")
    yield "## Sections of plugins"
    yield PLUGINS
    registry = Registry(base_directory=Path())
    for entry_point in installed_plugins():
        if entry_point.module.startswith("artstore.plugins."):
            yield from _plugin(entry_point.name, registry)


def _sections(model: type[BaseModel], *, prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        section = _model(field.annotation)
        if section is None or section is PluginSection:
            continue
        yield f"## `[{prefix}{name}]`"
        yield plain(section.__doc__)
        yield from _keys(section)
        yield from _sections(section, prefix=f"{prefix}{name}.")


def _plugin(name: str, registry: Registry) -> Iterator[str]:
    kind_name, _, type_name = name.partition("_")
    kind = next(kind for kind in KINDS if kind.name == kind_name)
    yield f"### `{name}`"
    readme = f"../../src/artstore/plugins/{name}/README.md"
    yield f'`type = "{type_name}"`. [What it needs, its limits, what it leaves behind]({readme}).'
    yield from _keys(registry.provider(kind, type_name).config)


def _keys(model: type[BaseModel]) -> Iterator[str]:
    """The keys that are values; those that are sections have a heading of their own."""
    schema = model.model_json_schema()
    required = schema.get("required", ())
    rows = [
        (
            f"`{name}`",
            _type(properties),
            "required" if name in required else value(properties.get("default")),
            plain(properties.get("description")),
        )
        for name, properties in schema.get("properties", {}).items()
        if _model(model.model_fields[name].annotation) is None and not model.model_fields[name].exclude
    ]
    if rows:
        yield table(("key", "type", "default", "meaning"), rows)
    elif not any(_model(field.annotation) for field in model.model_fields.values()):
        yield "It has no options."


def _model(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation names, alone, in a list, or beside ``None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if isinstance(annotation, types.GenericAlias | types.UnionType) or typing.get_origin(annotation):
        return next(filter(None, map(_model, typing.get_args(annotation))), None)
    return None


def _type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"] if option.get("type") != "null")
    if "enum" in schema:
        return ", ".join(value(option) for option in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    return str(schema.get("format") or schema.get("type", "any"))
