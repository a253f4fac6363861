"""The page of the command line: every command with its arguments and options."""

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from artstore.cli.main import app
from docs.generator.markdown import codes, table, value

INTRODUCTION: Final = """\
A failure is one line on standard error and exit code 1 (the cluster refused or could not), or 2 (the
command or the configuration cannot be used). Commands that use a cluster find it by, in this order:
`--data`, `--profile`, the variables `ARTSTORE_URL` with `ARTSTORE_CLIENT_ID` and
`ARTSTORE_CLIENT_SECRET`, `ARTSTORE_PROFILE`, `ARTSTORE_DATA`, the login (`artstore login`), the directory
`artstore-data` where they are started, the profile `default`. Over TLS, whom to trust and what to show is
said by `[tls]` of the directory, the table `tls` of the profile, or the variables `ARTSTORE_CA_CERT_FILE`,
`ARTSTORE_CLIENT_CERT_FILE` and `ARTSTORE_CLIENT_KEY_FILE`."""


def page() -> Iterator[str]:
    """A heading for every command."""
    yield "# Command line"
    yield INTRODUCTION
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    yield from _group(group, "artstore")


def _group(group: TyperGroup, name: str) -> Iterator[str]:
    context = typer.Context(group)
    for child_name in group.list_commands(context):
        child = group.get_command(context, child_name)
        if isinstance(child, TyperGroup):
            if child.invoke_without_command:
                yield from _command(child, f"{name} {child_name}")
            yield from _group(child, f"{name} {child_name}")
        elif isinstance(child, TyperCommand):
            yield from _command(child, f"{name} {child_name}")


def _command(command: TyperCommand | TyperGroup, name: str) -> Iterator[str]:
    yield f"## `{name}`"
    yield command.help or ""
    hints = typing.get_type_hints(command.callback)
    rows = [
        _row(parameter, hints[parameter.name or ""])
        for parameter in command.params
        if isinstance(parameter, TyperArgument | TyperOption) and not parameter.hidden
    ]
    yield table(("argument or option", "value", "default", "meaning"), rows)


def _row(parameter: TyperArgument | TyperOption, hint: Any) -> tuple[str, str, str, str]:
    meaning = (parameter.help or "").replace(str(Path.home()), "~")
    if isinstance(parameter, TyperArgument):
        return f"`{parameter.metavar or (parameter.name or '').upper()}`", _kind(hint), "", meaning
    names = codes([*parameter.opts, *parameter.secondary_opts])
    kind = f"`{parameter.metavar}`" if parameter.metavar else _kind(hint)
    return names, kind, _default(parameter.default), meaning


def _kind(hint: Any) -> str:
    """What is typed for a value; nothing for a flag."""
    names = {str: "text", int: "number", bool: "", Path: "path", UUID: "id"}
    if hint in names:
        return names[hint]
    arguments = typing.get_args(hint)
    return codes(arguments) if typing.get_origin(hint) is typing.Literal else _kind(arguments[0])


def _default(default: object) -> str:
    shown = str(default) if isinstance(default, Path) else default
    return value(shown) if shown not in (None, False, "") else ""
