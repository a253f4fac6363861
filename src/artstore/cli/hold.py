"""`artstore hold`: keeps files that somebody may still ask for, whatever their retention says."""

from typing import Annotated, Final
from urllib.parse import quote

import typer

from artstore.cli.arguments import validated
from artstore.cli.connection import Archive, DataOption, ProfileOption, with_archive
from artstore.cli.output import JsonOption, console, print_json, print_table, time_text
from artstore.cli.reading import FileIdArgument
from artstore.core.client.roles import parse
from artstore.core.exchange import HoldPage, NewHold

app: Final = typer.Typer(no_args_is_help=True, add_completion=False, help="Hold files against deletion.")


@app.command()
def place(
    file_id: FileIdArgument,
    reason: Annotated[str, typer.Option(help="Why the file must be kept.")],
    hold_id: Annotated[
        str | None,
        typer.Option("--id", metavar="NAME", help="Your own name for the hold, such as a case number."),
    ] = None,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Hold a file: nobody can delete it until the hold is released."""
    hold = validated(NewHold, {"id": hold_id, "reason": reason})

    async def ask(archive: Archive) -> HoldPage:
        url = archive.url("admin", f"/api/v1/files/{file_id}/holds")
        return parse(HoldPage, await archive.client.post(url, hold))

    page = with_archive(data, profile, ask)
    print_json(page) if json else _print_holds(page)


@app.command("list")
def list_holds(
    file_id: FileIdArgument,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """List the holds on a file."""

    async def ask(archive: Archive) -> HoldPage:
        return await archive.client.get(archive.url("admin", f"/api/v1/files/{file_id}/holds"), HoldPage)

    page = with_archive(data, profile, ask)
    print_json(page) if json else _print_holds(page)


@app.command()
def release(
    file_id: FileIdArgument,
    hold_id: Annotated[str, typer.Argument(metavar="HOLD", help="Id of the hold.")],
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Release a hold on a file."""

    async def ask(archive: Archive) -> None:
        url = archive.url("admin", f"/api/v1/files/{file_id}/holds/{quote(hold_id, safe='')}")
        async with archive.client.request("DELETE", url):
            console.print(f"released {hold_id}", markup=False)

    with_archive(data, profile, ask)


def _print_holds(page: HoldPage) -> None:
    rows = [(hold.id, time_text(hold.placed_at), hold.placed_by, hold.reason) for hold in page.items]
    print_table(("hold", "placed", "by", "reason"), rows)
