"""Writes `docs/reference/*.md` from the code, so that the reference cannot be wrong.

`python docs/generate.py` writes; the test suite fails when what is committed differs.
"""

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
import typer
from aiohttp import web
from pydantic import BaseModel

from artstore.cli.composition import ROLES, make_app
from artstore.cli.main import app as command_line
from artstore.core.config import ENVIRONMENT_PREFIX, RoleName, Settings
from artstore.core.http.openapi import openapi_document
from artstore.core.http.problems import PROBLEM_TYPES, TYPE_PREFIX
from artstore.core.keys import ENDPOINTS, METRICS
from artstore.core.registry import KINDS, Registry, installed_plugins
from artstore.core.scopes import ROLE_SCOPES, SCOPES, SERVICE_SCOPES

REFERENCE: Final = Path(__file__).parent / "reference"
GENERATED: Final = "<!-- Written by docs/generate.py from the code: change the code, not this page. -->\n"


def pages() -> Mapping[str, str]:
    """Every reference page, by file name."""
    apps = {role: make_app(role, Settings()) for role in ROLES}
    found = {
        "configuration.md": "\n".join(_configuration()),
        "errors.md": "\n".join(_errors()),
        "scopes.md": "\n".join(_scopes()),
        "command-line.md": "\n".join(_command_line()),
        "http-api.md": "\n".join(_http_api(apps)),
        "metrics.md": "\n".join(asyncio.run(_metrics())),
    }
    return {name: GENERATED + text.rstrip() + "\n" for name, text in found.items()}


def _configuration() -> Iterator[str]:
    yield "# Configuration\n"
    yield (
        "One TOML file for all roles; `artstore init` writes one with comments. Every key can be set by an environment\n"
        f"variable as well: `{ENVIRONMENT_PREFIX}ELEMENT__MODE=rw` sets `mode` in `[element]`. Unknown keys are refused. Relative\n"
        "paths start at the directory of the file. A value may be `{secret = \"name\"}` in the sections of plugins: it is looked\n"
        "up in the secrets chain. `artstore config check` says whether a file can be used, `artstore config show` what is in\n"
        "force.\n"
    )
    yield "## Top level\n"
    yield from _fields(Settings, skip_sections=True)
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            section = field.annotation
            if set(section.model_fields) - {"type"}:
                yield f"## `[{name}]`\n\n{(section.__doc__ or '').strip()}\n"
                yield from _fields(section)
    yield "## Sections of plugins\n"
    yield "`[storage]`, `[catalog]`, `[metadata]`, `[cache]`, `[auth]` and each `[[secrets]]` have a `type` and its options.\n"
    registry = Registry(base_directory=Path())
    for entry_point in installed_plugins():
        if entry_point.dist is None or entry_point.dist.name != "artstore":
            continue
        kind_name, _, type_name = entry_point.name.partition("_")
        kind = next(kind for kind in KINDS if kind.name == kind_name)
        config = registry.provider(kind, type_name).config
        yield f"### `{entry_point.name}`: `type = \"{type_name}\"`\n"
        yield from _fields(config)


def _fields(model: type[BaseModel], *, skip_sections: bool = False) -> Iterator[str]:
    properties = model.model_json_schema().get("properties", {})
    rows: list[str] = []
    for name, schema in properties.items():
        is_section = "$ref" in schema or "$ref" in schema.get("items", {})
        if skip_sections and is_section:
            continue
        default = schema.get("default")
        shown = "" if default is None else f"`{default}`"
        rows.append(f"| `{name}` | {_type(schema)} | {shown} | {_cell(schema.get('description', ''))} |")
    if rows:
        yield "| key | type | default | meaning |\n|---|---|---|---|"
        yield from rows
        yield ""
    else:
        yield "No options.\n"


def _type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"] if option.get("type") != "null")
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "$ref" in schema:
        return "table"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items') or schema.get('prefixItems', [{}])[0])}"
    return str(schema.get("format") or schema.get("type", "any"))


def _errors() -> Iterator[str]:
    yield "# Errors\n"
    yield (
        "Every error is an RFC 9457 `application/problem+json` document. `type` is `" + TYPE_PREFIX + "` and a code of this\n"
        "table, `instance` the request id that the log has too. The token endpoint alone answers errors of RFC 6749.\n"
    )
    for error, kind in sorted(PROBLEM_TYPES.items(), key=lambda item: (item[1].status, item[0].code)):
        meaning = " ".join((error.__doc__ or "").split())
        yield f"## {error.code}\n\n{kind.status} {kind.title}. {meaning}\n"


def _scopes() -> Iterator[str]:
    yield "# Scopes and roles\n\nUnknown means nothing: a role or scope that is not here is never granted.\n"
    yield "| scope | permits |\n|---|---|"
    yield from (f"| `{scope}` | {meaning} |" for scope, meaning in SCOPES.items())
    yield "\n| role of an account | scopes |\n|---|---|"
    yield from (f"| {role} | {_codes(sorted(scopes))} |" for role, scopes in ROLE_SCOPES.items())
    yield "\n| account of our own role | scopes |\n|---|---|"
    yield from (f"| `client-{role}` | {_codes(sorted(scopes))} |" for role, scopes in SERVICE_SCOPES.items())


def _command_line() -> Iterator[str]:
    yield "# Command line\n"
    yield (
        "A failure is one line on standard error and exit code 1 (the cluster refused or could not), or 2 (the command or the\n"
        "configuration cannot be used). Client commands find their cluster by `--data`, `--profile`, the variables\n"
        "`ARTSTORE_URL`, `ARTSTORE_CLIENT_ID` and `ARTSTORE_CLIENT_SECRET`, `ARTSTORE_PROFILE`, `ARTSTORE_DATA`, or the\n"
        "directory `artstore-data` where they are started, in this order.\n"
    )
    yield from _commands(typer.main.get_command(command_line), "artstore")


def _commands(command: click.Command, name: str) -> Iterator[str]:
    children: dict[str, click.Command] = getattr(command, "commands", {})
    if children:
        for child_name, child in children.items():
            yield from _commands(child, f"{name} {child_name}")
        return
    context = click.Context(command, info_name=name)
    yield f"## `{name}`\n\n{(command.help or '').strip()}\n"
    yield "| argument or option | meaning |\n|---|---|"
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        shown = ", ".join(parameter.opts) if parameter.param_type_name == "option" else parameter.make_metavar(context)
        yield f"| `{shown}` | {_cell(getattr(parameter, 'help', None) or '')} |"
    yield ""


def _http_api(apps: Mapping[RoleName, web.Application]) -> Iterator[str]:
    yield "# HTTP API\n"
    yield (
        "What each role serves; its OpenAPI 3.1 document at `/api/v1/openapi.json` has the models. Every operation answers\n"
        "errors as [problem documents](errors.md).\n"
    )
    for role, app in apps.items():
        document = openapi_document(title="", token_url="", endpoints=app[ENDPOINTS].values())
        yield f"## {role}\n\n| operation | scope | what it does | statuses |\n|---|---|---|---|"
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                security = operation["security"]
                scopes = security[0]["oauth2"] if security else None
                scope = "public" if scopes is None else _codes(scopes) or "any token"
                statuses = " ".join(sorted(operation["responses"]))
                yield f"| `{method.upper()} {path}` | {scope} | {_cell(operation['summary'])} | {statuses} |"
        yield ""


async def _metrics() -> list[str]:
    """From the registries of running applications: what is here is what `/metrics` has."""
    lines = [
        "# Metrics\n\nServed by every role at `/metrics`. Base units; labels are closed sets.\n",
        "| metric | type | labels | roles | meaning |\n|---|---|---|---|---|",
    ]
    found: dict[str, tuple[str, str, str, list[str]]] = {}
    for role, collectors in [(role, await _collectors(role)) for role in ROLES]:
        for name, kind, labels, documentation in collectors:
            found.setdefault(name, (kind, labels, documentation, []))[3].append(role)
    for name, (kind, labels, documentation, roles) in sorted(found.items()):
        lines.append(f"| `{name}` | {kind} | {labels} | {', '.join(roles)} | {_cell(documentation)} |")
    return lines


async def _collectors(role: RoleName) -> list[tuple[str, str, str, str]]:
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(base_directory=Path(directory))
        app = await asyncio.to_thread(make_app, role, settings)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            collectors = app[METRICS].registry._collector_to_names  # the registry has no public listing
            described = [(c, getattr(c, "_labelnames", ())) for c in collectors]
            return [
                (_exposed(metric.name, metric.type), metric.type, _codes(labels), metric.documentation)
                for collector, labels in described
                for metric in collector.describe()  # type: ignore[attr-defined]
            ]
        finally:
            await runner.cleanup()


def _exposed(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name


def _codes(names: Any) -> str:
    return " ".join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    for name, text in pages().items():
        (REFERENCE / name).write_text(text)
