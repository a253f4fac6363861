"""`artstore element rebuild`: has the catalog of a storage element built again, and watches it."""

import asyncio
from typing import Annotated, Final

import typer

from artstore.cli.connection import Archive, DataOption, ProfileOption, with_archive
from artstore.cli.element import ElementOption, element_url
from artstore.cli.output import JsonOption, console, count_progress, print_json, print_table
from artstore.core.client.roles import parse
from artstore.core.inspection import RebuildStatus

REBUILD: Final = "/api/v1/catalog/rebuild"
POLL_INTERVAL: Final = 0.2
"""Seconds between two looks at how far it is."""


def rebuild(
    element: ElementOption = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for it to end, or only start it.")
    ] = True,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Accept a catalog that lacks many files of the present one.")
    ] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel the one in progress.")] = False,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Rebuild the catalog of a storage element from the sidecars, while it serves.

    Exits with 1 if it failed or left out a sidecar.
    """

    async def run(archive: Archive) -> RebuildStatus:
        url = await element_url(archive, element) + REBUILD
        start = f"{url}?accept_loss={str(accept_loss).lower()}"
        asked = ("DELETE", url) if cancel else ("POST", start)
        async with archive.client.request(*asked) as response:
            status = parse(RebuildStatus, await response.read())
        return await _watch(archive, url, status) if wait else status

    status = with_archive(data, profile, run)
    print_json(status) if json else _print_rebuild(status)
    is_whole = status.state == "running" or (
        status.state == "done" and not status.faults and not status.lacking
    )
    if not (is_whole or cancel):
        raise typer.Exit(1)


async def _watch(archive: Archive, url: str, status: RebuildStatus) -> RebuildStatus:
    """Whoever stops watching does not stop the rebuild."""
    with count_progress("rebuilding", "sidecars") as progress:
        while status.state == "running":
            progress.show(status.sidecars, expected=status.expected)
            await asyncio.sleep(POLL_INTERVAL)
            status = await archive.client.get(url, RebuildStatus)
        progress.show(status.sidecars, expected=status.sidecars)
    return status


def _print_rebuild(status: RebuildStatus) -> None:
    because = "" if status.reason is None else f": {status.reason}"
    console.print(
        f"rebuild {status.state}{because}: {status.sidecars} sidecars read, {status.files} files, "
        f"{status.rate:.0f} sidecars/s",
        markup=False,
    )
    examples = [(fault, each.key, each.reason) for fault, some in status.examples.items() for each in some]
    if examples:
        counts = ", ".join(f"{count} {fault}" for fault, count in status.faults.items())
        console.print(f"left out of the catalog: {counts}", markup=False)
        print_table(("fault", "sidecar", "why"), examples)
    if status.lacking:
        console.print(f"lacking: {status.lacking} files that the catalog knew before", markup=False)
        print_table(("data", "why"), [(each.key, each.reason) for each in status.lacking_examples])
