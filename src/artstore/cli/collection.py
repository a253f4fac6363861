"""`artstore element gc` and `undelete`: what an element removes, and what it need not have removed."""

from typing import Annotated

import typer

from artstore.cli.connection import Archive, DataOption, ProfileOption, with_archive
from artstore.cli.element import ElementOption, element_url
from artstore.cli.output import JsonOption, console, print_failure, print_json, print_table, size_text
from artstore.cli.reading import FileIdArgument
from artstore.core.client.roles import parse
from artstore.core.collection import CollectionOrder, CollectionReport


def gc(
    element: ElementOption = None,
    apply: Annotated[bool, typer.Option("--apply", help="Remove it, instead of only listing it.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Remove nothing if there are more files than this.")
    ] = None,
    confirm_clock: Annotated[
        bool,
        typer.Option(
            "--confirm-clock", help="Confirm that the clock of the element is right although it jumped."
        ),
    ] = False,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Collect the garbage of a storage element: what has expired, and what deletions and uploads left."""
    order = CollectionOrder(dry_run=not apply, limit=limit, confirm_clock=confirm_clock)

    async def ask(archive: Archive) -> CollectionReport:
        url = f"{await element_url(archive, element)}/api/v1/gc"
        async with archive.client.request("POST", url, json=order, deadline=None) as response:
            return parse(CollectionReport, await response.read())

    report = with_archive(data, profile, ask)
    print_json(report) if json else _print_report(report)
    if report.refused is not None:
        print_failure("collection", report.refused)
        raise typer.Exit(1)


def undelete(
    file_id: FileIdArgument,
    element: ElementOption = None,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Restore a deleted file whose data its storage element still keeps."""

    async def ask(archive: Archive) -> None:
        url = f"{await element_url(archive, element)}/api/v1/files/{file_id}/undelete"
        async with archive.client.request("POST", url):
            console.print(f"brought back {file_id}")

    with_archive(data, profile, ask)


def _print_report(report: CollectionReport) -> None:
    rows = [
        (reason, str(found.found), str(found.removed), str(found.skipped), size_text(found.size))
        for reason, found in report.found.items()
    ]
    print_table(("reason", "found", "removed", "skipped", "size"), rows)
    if report.dry_run and report.refused is None:
        console.print("nothing was removed: this was a dry run, --apply removes")
