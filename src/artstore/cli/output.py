"""What commands print: tables and progress for people, JSON for programs."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final

import orjson
import typer
from pydantic import BaseModel
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from artstore.cli.local_files import printable

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

LINE_WIDTH: Final = 100_000
"""Characters: rich cuts cells that do not fit, and takes 80 where there is no terminal."""

console: Final = Console(highlight=False, soft_wrap=True, width=LINE_WIDTH)
errors: Final = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: BaseModel | Sequence[BaseModel] | Mapping[str, object]) -> None:
    """One JSON document on standard output."""
    if isinstance(value, BaseModel):
        plain: object = value.model_dump(mode="json", exclude_none=True)
    elif isinstance(value, Sequence):
        plain = [each.model_dump(mode="json", exclude_none=True) for each in value]
    else:
        plain = value
    sys.stdout.buffer.write(orjson.dumps(plain, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A plain table; every cell is shown as it is."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        # What people copy, ids above all, is never cut.
        table.add_column(column, no_wrap=True, overflow="ignore")
    for row in rows:
        table.add_row(*(escape(printable(cell)) for cell in row))
    console.print(table)


def print_failure(what: str, why: str) -> None:
    """One line on standard error about one of several things."""
    errors.print(f"[red]failed:[/red] {escape(printable(what))}: {escape(why)}")


def size_text(size: int) -> str:
    """Bytes for people."""
    return decimal(size)


def time_text(moment: datetime) -> str:
    """Local time, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def transfer_progress(what: str, *, files: int, size: int) -> "TransferProgress":
    """A bar over ``files`` files of ``size`` bytes in all."""
    return TransferProgress(what, files=files, size=size)


class TransferProgress:
    """Bytes, files, and both per second, on standard error; nothing when that is not a terminal."""

    def __init__(self, what: str, *, files: int, size: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TextColumn("{task.fields[files]}/{task.fields[all_files]} files"),
            _FilesPerSecond(),
            TimeRemainingColumn(),
            console=errors,
            disable=not errors.is_terminal,
        )
        self._task = self._progress.add_task(what, total=size, files=0, all_files=files)
        self._files = 0

    def __enter__(self) -> "TransferProgress":
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def advance(self, size: int) -> None:
        """So many more bytes."""
        self._progress.advance(self._task, size)

    def finish_file(self) -> None:
        """One more file."""
        self._files += 1
        self._progress.update(self._task, files=self._files)


def count_progress(what: str, unit: str) -> "CountProgress":
    """A bar over so many of ``unit`` as somebody else has done."""
    return CountProgress(what, unit)


class CountProgress:
    """How many are done, and in a second, on standard error; nothing when that is not a terminal."""

    def __init__(self, what: str, unit: str) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn(f"{{task.completed:,.0f}}/{{task.fields[expected]}} {unit}"),
            _CountPerSecond(),
            TimeRemainingColumn(),
            console=errors,
            disable=not errors.is_terminal,
        )
        self._task = self._progress.add_task(what, total=None, expected="?")

    def __enter__(self) -> "CountProgress":
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def show(self, done: int, *, expected: int | None) -> None:
        """So many are done, of so many that are expected."""
        told = "?" if expected is None else f"{expected:,}"
        self._progress.update(self._task, completed=done, total=expected, expected=told)


class _CountPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        rate = task.completed / task.elapsed if task.elapsed else 0.0
        return Text(f"{rate:,.0f}/s")


class _FilesPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        rate = task.fields["files"] / task.elapsed if task.elapsed else 0.0
        return Text(f"{rate:.0f} files/s")
