"""`artstore service-account`: the applications that may use the cluster."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlencode

import orjson
import typer
from pydantic import BaseModel

from artstore.cli.arguments import validated
from artstore.cli.connection import Archive, DataOption, ProfileOption, with_archive
from artstore.cli.output import JsonOption, console, errors, print_json, print_table
from artstore.core.client.roles import parse
from artstore.core.scopes import AccountRole
from artstore.core.spec import ConfigurationError, NotFoundError
from artstore.core.stores.accounts import AccountStatus
from artstore.services.admin.account_models import (
    AccountPage,
    AccountView,
    AccountWithSecret,
    NewServiceAccount,
    SecretRotation,
)

app: Final = typer.Typer(no_args_is_help=True, add_completion=False, help="Manage service accounts.")

PATH: Final = "/api/v1/service-accounts"
PAGE_SIZE: Final = 1000
AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Name, client id or id.")]
KeysOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="JWK set (JSON) of the public keys with which it authenticates."),
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the application.")],
    role: Annotated[AccountRole | None, typer.Option(help="What it may do.")] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="A scope in addition to those of its role; may be repeated.")
    ] = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    rate_limit: Annotated[int | None, typer.Option(help="Requests per minute that it may make.")] = None,
    jwks: KeysOption = None,
    bound_tokens: Annotated[
        bool, typer.Option("--bound-tokens", help="Bind its tokens to its client certificate.")
    ] = False,
    expires_in_days: Annotated[int, typer.Option(help="Days until its secret expires; 0 for never.")] = 90,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Create an account. Its secret is shown only once."""
    account = validated(
        NewServiceAccount,
        {
            "name": name,
            "role": role,
            "scopes": scope or [],
            "description": description,
            "rate_limit": rate_limit,
            "jwks": read_keys(jwks),
            "has_bound_tokens": bound_tokens,
            "expires_in_days": expires_in_days,
        },
    )
    made = with_archive(data, profile, lambda archive: _send(archive, PATH, account))
    _print_secret(made, as_json=json)


@app.command(name="list")
def list_accounts(
    role: Annotated[AccountRole | None, typer.Option(help="Only those with this role.")] = None,
    status: Annotated[AccountStatus | None, typer.Option(help="Only those with this status.")] = None,
    search: Annotated[str | None, typer.Option(help="Part of a name, a description or a client id.")] = None,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """List the accounts."""
    asked = {"role": role, "status": status, "search": search}
    query = {name: value for name, value in asked.items() if value is not None}
    accounts = with_archive(data, profile, lambda archive: all_accounts(archive, PATH, query))
    if json:
        print_json(accounts)
        return
    rows = [
        (each.name, each.client_id, each.role or "", each.status, "system" if each.is_system else "")
        for each in accounts
    ]
    print_table(("name", "client id", "role", "status", ""), rows)


@app.command()
def rotate(
    account: AccountArgument,
    grace_seconds: Annotated[
        int, typer.Option(help="Seconds for which the present secret remains valid.")
    ] = 0,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Give an account a new secret, which is shown only once."""
    rotation = validated(SecretRotation, {"grace_seconds": grace_seconds})

    async def send(archive: Archive) -> AccountWithSecret:
        found = await find_account(archive, account)
        return await _send(archive, f"{PATH}/{found.id}/rotate-secret", rotation)

    _print_secret(with_archive(data, profile, send), as_json=json)


@app.command()
def delete(
    account: AccountArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Delete an account; its tokens are refused at once."""
    if not yes:
        typer.confirm(f"Delete the account {account}?", abort=True, err=True)

    async def send(archive: Archive) -> None:
        found = await find_account(archive, account)
        async with archive.client.request("DELETE", archive.url("admin", f"{PATH}/{found.id}")):
            console.print(f"deleted {found.client_id}", markup=False)

    with_archive(data, profile, send)


def read_keys(path: Path | None) -> object:
    """What a file with a JWK set says.

    Raises:
        ConfigurationError: it is not JSON.
    """
    if path is None:
        return None
    try:
        return orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"{path} is not JSON: {error}") from None


async def _send(archive: Archive, path: str, body: BaseModel) -> AccountWithSecret:
    return parse(AccountWithSecret, await archive.client.post(archive.url("admin", path), body))


async def all_accounts(archive: Archive, path: str, query: Mapping[str, str]) -> list[AccountView]:
    """Every account of a list, however many slices it has."""
    accounts: list[AccountView] = []
    while True:
        slice_ = urlencode({**query, "limit": PAGE_SIZE, "offset": len(accounts)})
        page = await archive.client.get(archive.url("admin", f"{path}?{slice_}"), AccountPage)
        accounts += page.items
        if not page.has_more:
            return accounts


async def find_account(archive: Archive, account: str) -> AccountView:
    """The account that an argument names.

    Raises:
        NotFoundError: none has this name, client id or id.
    """
    for each in await all_accounts(archive, PATH, {}):
        if account in (each.name, each.client_id, str(each.id)):
            return each
    raise NotFoundError(f"there is no account {account}; `artstore service-account list` shows them")


def _print_secret(account: AccountWithSecret, *, as_json: bool) -> None:
    if as_json:
        print_json(account)
        return
    print_table(
        ("client id", "client secret"), [(account.client_id, account.client_secret or "kept as a secret")]
    )
    errors.print("The secret is not shown again: keep it now.")
