"""How commands take passwords: typed unseen, or from standard input; never as an argument.

Arguments of a command are seen by everybody on the machine.
"""

import sys
from typing import Annotated, Final

import typer

from artstore.core.spec import ConfigurationError

StdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read passwords from standard input, one per line.")
]
_LONGEST_LINE: Final = 1024


def ask(what: str, *, from_stdin: bool) -> str:
    """A password that exists.

    Raises:
        ConfigurationError: standard input has none.
    """
    return _line(what) if from_stdin else str(typer.prompt(what, hide_input=True, err=True))


def ask_new(what: str, *, from_stdin: bool) -> str:
    """A password that does not exist yet: who types it does so twice. Raises what :func:`ask` does."""
    if from_stdin:
        return _line(what)
    return str(typer.prompt(what, hide_input=True, err=True, confirmation_prompt="Once more"))


def _line(what: str) -> str:
    line = sys.stdin.readline(_LONGEST_LINE).rstrip("\r\n")
    if not line:
        raise ConfigurationError(f"standard input has no line for: {what}")
    return line
