"""`artstore fixity`: whether the files of a storage element are still what they were."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from artstore.cli.connection import Archive, DataOption, ProfileOption, with_archive
from artstore.cli.element import ElementOption, element_url
from artstore.cli.output import JsonOption, console, errors, print_json, print_table, size_text, time_text
from artstore.core.client.roles import parse
from artstore.core.fixity import (
    BadOutcome,
    FileFixity,
    FixityReport,
    FixityRequest,
    FixityRun,
    FixityStatus,
)

POLL_INTERVAL: Final = 0.25
SECONDS_PER_DAY: Final = 86400
PATH: Final = "/api/v1/fixity"

app: Final = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Reread files and find those that changed.",
)


@app.command()
def run(
    file_ids: Annotated[
        list[UUID] | None, typer.Argument(metavar="[ID…]", help="Ids of files. Default: all files.")
    ] = None,
    older_than: Annotated[
        float, typer.Option(min=0, metavar="DAYS", help="Only files that have not been read for this long.")
    ] = 0,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the end of the run.")] = True,
    element: ElementOption = None,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Reread files now. Exits with 1 if one is bad or the run cannot be trusted."""
    request = FixityRequest(file_ids=file_ids or None, older_than=older_than * SECONDS_PER_DAY)

    async def ask(archive: Archive) -> FixityRun:
        url = await element_url(archive, element)
        begun = parse(FixityRun, await archive.client.post(f"{url}{PATH}", request))
        return await _wait_for(archive, url, begun) if wait else begun

    outcome = with_archive(data, profile, ask)
    print_json(outcome) if json else _print_run(outcome)
    if wait and not outcome.is_good:
        raise typer.Exit(1)


@app.command()
def status(
    element: ElementOption = None,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Show the state of the files as of their last checks, and the progress of a run."""

    async def ask(archive: Archive) -> FixityStatus:
        return await archive.client.get(f"{await element_url(archive, element)}{PATH}", FixityStatus)

    said = with_archive(data, profile, ask)
    print_json(said) if json else _print_status(said)


@app.command()
def report(
    outcome: Annotated[BadOutcome | None, typer.Option(help="Only files with this outcome.")] = None,
    element: ElementOption = None,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """List the files whose last check was bad. Exits with 1 if there are any."""
    items = with_archive(data, profile, lambda archive: _report(archive, element, outcome))
    if json:
        print_json(items)
    else:
        _print_report(items)
    if items:
        raise typer.Exit(1)


async def _wait_for(archive: Archive, url: str, begun: FixityRun) -> FixityRun:
    with Progress(
        TextColumn("reading"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files"),
        TimeRemainingColumn(),
        console=errors,
        disable=not errors.is_terminal,
    ) as progress:
        task = progress.add_task("reading", total=None)
        while True:
            run = await archive.client.get(f"{url}{PATH}/runs/{begun.run_id}", FixityRun)
            progress.update(task, completed=run.checked, total=run.files or None)
            if run.state == "finished":
                return run
            await asyncio.sleep(POLL_INTERVAL)


async def _report(archive: Archive, element: str | None, outcome: BadOutcome | None) -> Sequence[FileFixity]:
    url = f"{await element_url(archive, element)}{PATH}/report?limit=1000"
    url = url if outcome is None else f"{url}&outcome={outcome}"
    page = await archive.client.get(url, FixityReport)
    items = list(page.items)
    while page.has_more:
        page = await archive.client.get(f"{url}&after={items[-1].file_id}", FixityReport)
        items += page.items
    return items


def _print_run(run: FixityRun) -> None:
    samples = {
        "found": "the known-bad sample was found",
        "missed": "THE KNOWN-BAD SAMPLE WAS NOT FOUND: do not trust this run",
        "not_planted": "no known-bad sample could be stored, so the run was not tested",
        None: "run " + run.run_id,
    }
    console.print(
        f"{run.state}: {run.checked} files read ({size_text(run.checked_bytes)}), {run.bad} bad; "
        f"{samples[run.sample]}",
        markup=False,
    )


def _print_status(status: FixityStatus) -> None:
    days = status.oldest_unverified_seconds / SECONDS_PER_DAY
    rows = [
        ("files", str(status.files)),
        ("never checked", str(status.never_checked)),
        *((outcome, str(count)) for outcome, count in status.bad.items()),
        ("longest unverified", f"{days:.1f} days, of {status.period_seconds / SECONDS_PER_DAY:.1f}"),
        ("budget", f"{size_text(status.budget)}/s"),
        ("next run", time_text(status.next_scheduled_at)),
    ]
    print_table(("field", "value"), rows)
    for run in (status.last_run, status.run):
        if run is not None:
            _print_run(run)


def _print_report(items: Sequence[FileFixity]) -> None:
    rows = [
        (
            str(item.file_id),
            item.outcome or "",
            "" if item.checked_at is None else time_text(item.checked_at),
            next((check.detail or "" for check in item.checks), ""),
        )
        for item in items
    ]
    print_table(("id", "outcome", "checked", "what was wrong"), rows)
    console.print(f"{len(items)} bad files")
