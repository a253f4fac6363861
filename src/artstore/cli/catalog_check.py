"""`artstore element check`: compares storage and catalog, and repairs what it is told to."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Final

import typer
from pydantic import BaseModel

from artstore.cli.arguments import validated
from artstore.cli.connection import Archive, DataOption, ProfileOption, with_archive
from artstore.cli.element import ElementOption, element_url
from artstore.cli.output import JsonOption, console, count_progress, print_json, print_table
from artstore.core.client.roles import parse
from artstore.core.inspection import CheckRequest, ConsistencyReport, RepairReport, RepairRequest

CONSISTENCY: Final = "/api/v1/catalog/consistency"
POLL_INTERVAL: Final = 0.2
"""Seconds between two looks at how far it is."""
REPAIR_DEADLINE: Final = 600.0
"""Seconds for the repairs of one request: each file is looked at again."""


def check(
    element: ElementOption = None,
    verify: Annotated[bool, typer.Option("--verify", help="Also read and hash all data.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what was found, after saying what would be done.")
    ] = False,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="Repair only findings of this kind; may be repeated."),
    ] = None,
    max_changes: Annotated[
        int | None, typer.Option("--max-changes", min=1, help="Allow more changes than usual.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Repair without asking.")] = False,
    examples: Annotated[
        int, typer.Option(min=0, max=1000, help="How many findings of each kind to show.")
    ] = 20,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Compare the storage of an element with its catalog. Exits with 1 if something is wrong."""
    wanted = {"kinds": kind, "max_changes": max_changes}
    request = validated(RepairRequest, {name: each for name, each in wanted.items() if each is not None})

    async def run(archive: Archive) -> tuple[ConsistencyReport, RepairReport | None]:
        url = await element_url(archive, element) + CONSISTENCY
        await archive.client.post(url, CheckRequest(verify=verify))
        report = await _watch(archive, url, examples=examples)
        show(report)
        if not (repair and report.totals):
            return report, None
        return report, await _repair(archive, url, request, show=show, ask=not yes)

    def show(what: ConsistencyReport | RepairReport) -> None:
        if not json:
            _print(what)

    report, repairs = with_archive(data, profile, run)
    if json:
        print_json({"report": _plain(report), "repairs": None if repairs is None else _plain(repairs)})
    if report.state != "done" or _left(report, repairs):
        raise typer.Exit(1)


async def _watch(archive: Archive, url: str, *, examples: int) -> ConsistencyReport:
    """Whoever stops watching does not stop the check."""
    url = f"{url}?examples={examples}"
    with count_progress("comparing", "files") as progress:
        while (report := await archive.client.get(url, ConsistencyReport)).state == "running":
            progress.show(report.sidecars, expected=report.expected_rows)
            await asyncio.sleep(POLL_INTERVAL)
        progress.show(report.sidecars, expected=report.sidecars)
    return report


async def _repair(
    archive: Archive, url: str, request: RepairRequest, *, show: Callable[[RepairReport], None], ask: bool
) -> RepairReport:
    """Tell what would be done, and do it unless somebody says no."""

    async def send(*, dry_run: bool) -> RepairReport:
        body = request.model_copy(update={"dry_run": dry_run})
        report = parse(
            RepairReport, await archive.client.post(f"{url}/repair", body, deadline=REPAIR_DEADLINE)
        )
        show(report)
        return report

    plan = await send(dry_run=True)
    if not plan.totals.get("planned"):
        return plan
    if ask:
        typer.confirm(f"Make these {plan.totals['planned']} changes?", abort=True, err=True)
    return await send(dry_run=False)


def _left(report: ConsistencyReport, repairs: RepairReport | None) -> int:
    """How much is still wrong."""
    done = 0 if repairs is None else repairs.totals.get("repaired", 0)
    return sum(report.totals.values()) - done


def _print(what: ConsistencyReport | RepairReport) -> None:
    if isinstance(what, RepairReport):
        _print_repairs(what)
    else:
        _print_report(what)


def _print_report(report: ConsistencyReport) -> None:
    because = "" if report.reason is None else f": {report.reason}"
    console.print(
        f"comparison {report.state}{because}: {report.objects} objects, {report.sidecars} of them sidecars, "
        f"{report.rows} of {report.expected_rows} rows, {sum(report.totals.values())} findings",
        markup=False,
    )
    if report.totals:
        print_table(("finding", "number"), [(kind, str(total)) for kind, total in report.totals.items()])
        print_table(
            ("finding", "where", "why"), [(each.kind, each.key, each.reason) for each in report.examples]
        )


def _print_repairs(repairs: RepairReport) -> None:
    told = ", ".join(f"{total} {outcome.replace('_', ' ')}" for outcome, total in repairs.totals.items())
    console.print(
        f"repairs: {told or 'none'}{', and there are more' if repairs.has_more else ''}", markup=False
    )
    if repairs.repairs:
        rows = [(each.outcome.replace("_", " "), each.key, each.action) for each in repairs.repairs]
        print_table(("repair", "where", "what"), rows)


def _plain(model: BaseModel) -> object:
    return model.model_dump(mode="json", exclude_none=True)
