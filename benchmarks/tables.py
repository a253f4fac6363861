"""Prints what was measured."""

from collections.abc import Sequence
from shutil import get_terminal_size
from typing import Final

from rich.console import Console
from rich.table import Table

LEAST_WIDTH: Final = 120
"""Columns: into a file, too, every row is one line."""

console: Final = Console(highlight=False, width=max(LEAST_WIDTH, get_terminal_size().columns))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The first column is text, all others are figures."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    console.print()
    console.print(table)
