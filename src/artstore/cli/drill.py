"""`artstore drill`: tries out, on a cluster that is stopped, that what must not be lost is not."""

import asyncio
from pathlib import Path
from typing import Annotated, Final

import typer

from artstore.cli.amnesia import AmnesiaReport, Drill
from artstore.cli.directory import CONFIG_NAME, DEFAULT_DATA
from artstore.cli.output import JsonOption, console, errors, print_json
from artstore.core.config import read_settings
from artstore.core.logging import configure_logging

app: Final = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Rehearse losing databases, on a stopped cluster."
)


@app.callback()
def _group() -> None:
    """Without it, a single command would take the place of the group."""


@app.command()
def amnesia(
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Directory of the cluster.")
    ] = DEFAULT_DATA,
    base_port: Annotated[
        int | None, typer.Option(min=1, max=65000, help="The one given to `artstore up`.")
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Only put back what an interrupted drill moved aside.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: JsonOption = False,
) -> None:
    """Take every database away, rebuild them from the storage alone, and compare.

    The cluster must be stopped. Databases are moved aside, not deleted: in the end, and when anything goes
    wrong, that of admin is put back, because accounts that people have made are nowhere else.
    """
    overrides = {} if base_port is None else {"base_port": base_port}
    settings = read_settings(data / CONFIG_NAME, overrides=overrides)
    configure_logging(log_format=settings.logging.format, level="error")
    drill = Drill(settings)
    if undo:
        console.print(f"put back: {', '.join(drill.undo()) or 'nothing'}", markup=False)
        return
    if not yes:
        typer.confirm(f"Take the databases of {data} away for a while?", abort=True, err=True)
    report = asyncio.run(drill.run())
    print_json(report) if json else _print(report)
    if not report.is_equal:
        raise typer.Exit(1)


def _print(report: AmnesiaReport) -> None:
    for name, memory in (("before", report.before), ("after", report.after)):
        console.print(
            f"{name}: {memory.files} files and {memory.deleted} deleted ones in the catalog, "
            f"{memory.indexed} in the index; SHA-256 over ids and digests of sidecars {memory.digest}",
            markup=False,
        )
    console.print(
        f"catalog rebuilt in {report.catalog_seconds:.1f} s, {report.sidecars_per_second:,.0f} sidecars/s; "
        f"index rebuilt in {report.index_seconds:.1f} s; both {report.files_per_second:,.0f} files/s",
        markup=False,
    )
    for example in report.differences:
        errors.print(f"[red]differs:[/red] {example}")
    console.print(
        "nothing was lost" if report.is_equal else "the storage does not say what the databases said"
    )
