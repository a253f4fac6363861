"""`artstore jwt-key`: the keys that sign access tokens."""

from typing import Annotated, Final
from urllib.parse import quote

import typer

from artstore.cli.connection import Archive, DataOption, ProfileOption, with_archive
from artstore.cli.output import JsonOption, print_json, print_table, time_text
from artstore.core.client.roles import parse
from artstore.services.admin.key_models import KEYS_PATH, KeyList, KeyStatus, KeyView

app: Final = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Manage the keys that sign access tokens."
)


@app.command()
def status(json: JsonOption = False, data: DataOption = None, profile: ProfileOption = None) -> None:
    """Show which key signs, and which is next."""

    async def ask(archive: Archive) -> KeyStatus:
        return await archive.client.get(archive.url("admin", f"{KEYS_PATH}/status"), KeyStatus)

    found = with_archive(data, profile, ask)
    if json:
        print_json(found)
        return
    planned = found.next_rotation_at
    rows = [
        ("signing", f"{found.signing.kid} since {time_text(found.signing.signs_from)}"),
        ("waiting", found.waiting.kid if found.waiting else "none"),
        ("next rotation", time_text(planned) if planned else "when another key is provided"),
        ("keys that verify", str(found.published)),
        ("source", found.source),
    ]
    print_table(("", ""), rows)


@app.command(name="list")
def list_keys(json: JsonOption = False, data: DataOption = None, profile: ProfileOption = None) -> None:
    """List the keys, past and next ones included."""

    async def ask(archive: Archive) -> KeyList:
        return await archive.client.get(archive.url("admin", KEYS_PATH), KeyList)

    found = with_archive(data, profile, ask)
    print_json(found) if json else _print_keys(found.items)


@app.command()
def rotate(json: JsonOption = False, data: DataOption = None, profile: ProfileOption = None) -> None:
    """Replace the signing key. The next one signs once every role has had time to learn it."""
    made = with_archive(data, profile, lambda archive: _post(archive, "rotate"))
    print_json(made) if json else _print_keys([made])


# The name of a key may begin with a dash: here, no option has a short form.
@app.command(context_settings={"ignore_unknown_options": True})
def withdraw(
    kid: Annotated[str, typer.Argument(metavar="KEY", help="The key, as `list` names it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Withdraw a compromised key. Every token that it signed is refused at once."""
    if not yes:
        typer.confirm(f"Withdraw {kid} and refuse all it has signed?", abort=True, err=True)
    path = f"{quote(kid, safe='')}/withdraw"
    withdrawn = with_archive(data, profile, lambda archive: _post(archive, path))
    print_json(withdrawn) if json else _print_keys([withdrawn])


async def _post(archive: Archive, path: str) -> KeyView:
    url = archive.url("admin", f"{KEYS_PATH}/{path}")
    async with archive.client.request("POST", url) as response:
        return parse(KeyView, await response.read())


def _print_keys(keys: list[KeyView]) -> None:
    rows = [
        (
            key.kid,
            key.state,
            time_text(key.signs_from),
            time_text(key.signs_until) if key.signs_until else "",
            time_text(key.expires_at) if key.expires_at else "",
        )
        for key in keys
    ]
    print_table(("key", "state", "signs from", "until", "verifies until"), rows)
