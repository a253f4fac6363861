"""The command `artstore`: every subcommand, and one way to fail."""

import sys
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from artstore import __version__
from artstore.cli import accounts, configuration, put, reading, serving, verify
from artstore.core.spec import ArtStoreError, ConfigurationError

app: Final = typer.Typer(
    name="artstore",
    help="Keeps documents for decades, readable without it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    serving.up,
    serving.run,
    serving.init,
    put.put,
    reading.search,
    reading.get,
    reading.ls,
    reading.info,
    reading.rm,
    verify.verify,
    configuration.plugins,
):
    app.command()(command)
app.add_typer(accounts.app, name="service-account")
app.add_typer(configuration.app, name="config")


def main() -> None:
    """Run one command. A failure is one line on standard error and a non-zero exit, never a traceback."""
    try:
        app()
    except ConfigurationError as error:
        _fail(str(error), code=2)
    except ArtStoreError as error:
        _fail(error.detail, code=1)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(message: str, *, code: int) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]error:[/red] {escape(message)}")
    sys.exit(code)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Options of every command."""
    if version:
        typer.echo(f"artstore {__version__}")
        raise typer.Exit
