"""The command `artstore`: every subcommand, and one way to fail."""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup
from typer.exceptions import TyperException

from artstore import __version__
from artstore.core.spec import ArtStoreError, ConfigurationError

COMMANDS: Final[Mapping[str, str]] = {
    "up": "serving:up",
    "run": "serving:run",
    "init": "serving:init",
    "put": "put:put",
    "search": "reading:search",
    "get": "reading:get",
    "ls": "reading:ls",
    "info": "reading:info",
    "rm": "reading:rm",
    "hold": "hold:app",
    "finalize": "finalizing:finalize",
    "verify": "verify:verify",
    "element": "element:app",
    "restore": "restore:app",
    "fixity": "fixity:app",
    "drill": "drill:app",
    "service-account": "account_care:app",
    "login": "login:login",
    "logout": "login:logout",
    "whoami": "login:whoami",
    "change-password": "login:change_password",
    "user": "user:app",
    "certs": "certs:app",
    "jwt-key": "jwt_key:app",
    "audit": "audit:app",
    "plugins": "plugins:app",
    "config": "configuration:app",
}
"""Every command, with the module of this package and the name it is made from."""


class Commands(TyperGroup):
    """Imports the module of a command when that command is used: servers take long to import.

    Contexts and commands are of types that typer gives no name to.
    """

    def list_commands(self, ctx: object) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: object, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(f"artstore.cli.{module}"), attribute)
        if not isinstance(found, typer.Typer):
            function, found = found, typer.Typer(add_completion=False)
            found.command(cmd_name)(function)
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command


app: Final = typer.Typer(
    name="artstore",
    cls=Commands,
    help="Keeps documents for decades, readable even without ArtStore.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run one command. A failure is one line on standard error and a non-zero exit, never a traceback."""
    try:
        sys.exit(app(standalone_mode=False))
    except TyperException as error:
        # Help that was asked for by giving no arguments is printed already, and leaves no message.
        message = error.format_message()
        _fail(message, code=2) if message else sys.exit(2)
    except typer.Abort:
        _fail("given up; nothing was changed", code=1)
    except ConfigurationError as error:
        _fail(str(error), code=2)
    except ArtStoreError as error:
        _fail(error.detail, code=1)
    except OSError as error:
        _fail(_of_the_system(error), code=1)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(message: str, *, code: int) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]error:[/red] {escape(message)}")
    sys.exit(code)


def _of_the_system(error: OSError) -> str:
    why = error.strerror or str(error)
    return why if error.filename is None else f"{error.filename}: {why}"


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Options of every command."""
    if version:
        typer.echo(f"artstore {__version__}")
        raise typer.Exit
