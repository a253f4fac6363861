"""`artstore service-account` for accounts that are there: what they are, change, use and may no longer do."""

from typing import Annotated, Final, TypeVar

import typer
from pydantic import BaseModel

from artstore.cli.accounts import (
    PATH,
    AccountArgument,
    KeysOption,
    all_accounts,
    app,
    find_account,
    read_keys,
)
from artstore.cli.arguments import validated
from artstore.cli.connection import Archive, DataOption, ProfileOption, with_archive
from artstore.cli.output import JsonOption, console, print_json, print_table, time_text
from artstore.core.client.roles import parse
from artstore.core.scopes import AccountRole
from artstore.services.admin.account_models import AccountPatch, AccountUsage, AccountView

M = TypeVar("M", bound=BaseModel)

__all__ = ["app"]
_TIMES: Final = ("created_at", "updated_at", "secret_expires_at", "last_used_at")


@app.command()
def show(
    account: AccountArgument,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Show everything about an account but its secret."""
    found = with_archive(data, profile, lambda archive: find_account(archive, account))
    _print_account(found, as_json=json)


@app.command()
def update(
    account: AccountArgument,
    name: Annotated[str | None, typer.Option(help="Its new name.")] = None,
    role: Annotated[AccountRole | None, typer.Option(help="What it may do.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="A scope in addition to those of its role, replacing earlier ones; may be repeated."
        ),
    ] = None,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    rate_limit: Annotated[int | None, typer.Option(help="Requests per minute that it may make.")] = None,
    jwks: KeysOption = None,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Change an account. Tokens that grant more than it still may do are refused at once."""
    given = {
        "name": name,
        "role": role,
        "scopes": scope,
        "description": description,
        "rate_limit": rate_limit,
        "jwks": read_keys(jwks),
    }
    change = validated(AccountPatch, {key: value for key, value in given.items() if value is not None})

    async def send(archive: Archive) -> AccountView:
        found = await find_account(archive, account)
        return await _send(archive, "PATCH", f"/{found.id}", AccountView, change)

    _print_account(with_archive(data, profile, send), as_json=json)


@app.command()
def suspend(account: AccountArgument, data: DataOption = None, profile: ProfileOption = None) -> None:
    """Suspend an account: it gets no tokens, and those it has are refused at once."""
    _act(account, "suspend", "suspended", data, profile)


@app.command()
def activate(account: AccountArgument, data: DataOption = None, profile: ProfileOption = None) -> None:
    """End a suspension. Tokens issued before it stay refused."""
    _act(account, "activate", "activated", data, profile)


@app.command()
def revoke_tokens(account: AccountArgument, data: DataOption = None, profile: ProfileOption = None) -> None:
    """Revoke every token of an account. It can request new ones."""
    _act(account, "revoke-tokens", "revoked the tokens of", data, profile)


@app.command()
def usage(
    account: AccountArgument,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Show what an account requested in the last 30 days."""

    async def ask(archive: Archive) -> AccountUsage:
        found = await find_account(archive, account)
        return await _send(archive, "GET", f"/{found.id}/usage", AccountUsage)

    used = with_archive(data, profile, ask)
    if json:
        print_json(used)
        return
    rows = [(str(each.day), str(each.tokens_issued), str(each.requests_refused)) for each in used.days]
    print_table(("day", "tokens", "refused"), rows)


@app.command()
def expiring(
    within_days: Annotated[int, typer.Option(min=0, help="How far to look ahead.")] = 14,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """List the accounts whose secret expires soon, or has expired."""
    query = {"within_days": str(within_days)}
    found = with_archive(data, profile, lambda archive: all_accounts(archive, f"{PATH}/expiring", query))
    if json:
        print_json(found)
        return
    rows = [
        (each.name, each.client_id, time_text(each.secret_expires_at) if each.secret_expires_at else "")
        for each in found
    ]
    print_table(("name", "client id", "expires"), rows)


def _act(account: str, action: str, done: str, data: DataOption, profile: ProfileOption) -> None:
    async def send(archive: Archive) -> None:
        found = await find_account(archive, account)
        changed = await _send(archive, "POST", f"/{found.id}/{action}", AccountView)
        console.print(f"{done} {changed.client_id}", markup=False)

    with_archive(data, profile, send)


async def _send(
    archive: Archive, method: str, suffix: str, model: type[M], body: BaseModel | None = None
) -> M:
    # What was not given stays as it is: it must not be sent as null.
    sent = None if body is None else body.model_dump_json(exclude_unset=True).encode()
    headers = None if sent is None else {"Content-Type": "application/json"}
    url = archive.url("admin", PATH + suffix)
    async with archive.client.request(method, url, data=sent, headers=headers) as response:
        return parse(model, await response.read())


def _print_account(account: AccountView, *, as_json: bool) -> None:
    if as_json:
        print_json(account)
        return
    facts = account.model_dump(exclude_none=True)
    shown = {name: time_text(value) if name in _TIMES else str(value) for name, value in facts.items()}
    shown["scopes"] = " ".join(account.scopes)
    print_table(("field", "value"), list(shown.items()))
