"""`artstore user`: the people who may log in."""

from typing import Annotated, Final
from urllib.parse import quote

import typer
from pydantic import BaseModel

from artstore.cli.arguments import validated
from artstore.cli.connection import Archive, DataOption, ProfileOption, with_archive
from artstore.cli.output import JsonOption, console, errors, print_json, print_table, time_text
from artstore.cli.passwords import StdinOption, ask_new
from artstore.core.client.roles import parse
from artstore.core.scopes import PersonRole
from artstore.core.spec import NotFoundError
from artstore.services.admin.person_models import (
    NewPerson,
    PasswordReset,
    PersonChange,
    PersonPage,
    PersonView,
    PersonWithPassword,
)

app: Final = typer.Typer(no_args_is_help=True, add_completion=False, help="Manage the people who may log in.")

PATH: Final = "/api/v1/admin-users"
PAGE_SIZE: Final = 1000
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="Username or id.")]
AskOption = Annotated[
    bool, typer.Option("--ask-password", help="Ask for the password instead of generating one.")
]
RoleOption = Annotated[PersonRole | None, typer.Option(help="What they may do.")]
EmailOption = Annotated[str | None, typer.Option(help="Their email address.")]


@app.command()
def create(
    username: Annotated[str, typer.Argument(help="Name with which they log in.")],
    role: Annotated[PersonRole, typer.Option(help="What they may do.")] = "readonly",
    email: EmailOption = None,
    ask_password: AskOption = False,
    password_stdin: StdinOption = False,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Create a person who may log in and must change the password at the first login."""
    password = _new_password(ask_password, password_stdin)
    person = validated(NewPerson, {"username": username, "role": role, "email": email, "password": password})
    made = with_archive(data, profile, lambda archive: _send(archive, PATH, person))
    _print_password(made, as_json=json)


@app.command(name="list")
def list_users(
    role: RoleOption = None,
    search: Annotated[str | None, typer.Option(help="Part of the username or email address.")] = None,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """List the people."""
    found = with_archive(data, profile, lambda archive: _all(archive, role=role, search=search))
    if json:
        print_json(found)
        return
    rows = [
        (
            each.username,
            each.role,
            _state(each),
            time_text(each.last_login_at) if each.last_login_at else "",
            each.email or "",
        )
        for each in found
    ]
    print_table(("username", "role", "state", "last login", "email"), rows)


@app.command()
def show(
    user: UserArgument, json: JsonOption = False, data: DataOption = None, profile: ProfileOption = None
) -> None:
    """Show everything about a person but the password."""
    person = with_archive(data, profile, lambda archive: _find(archive, user))
    if json:
        print_json(person)
        return
    shown = person.model_dump(mode="json", exclude_none=True) | {"scopes": " ".join(person.scopes)}
    print_table(("", ""), [(name, str(value)) for name, value in shown.items()])


@app.command()
def update(
    user: UserArgument,
    role: RoleOption = None,
    email: EmailOption = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether they may log in.")
    ] = None,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Change a person; what is not given stays. A change of role ends their logins."""

    async def send(archive: Archive) -> PersonView:
        person = await _find(archive, user)
        change = validated(
            PersonChange,
            {
                "email": person.email if email is None else email,
                "role": person.role if role is None else role,
                "enabled": person.enabled if enabled is None else enabled,
            },
        )
        # Whatever somebody else has changed since would be undone.
        headers = {"If-Match": f'"{person.revision}"'}
        async with archive.client.request(
            "PUT", _url(archive, person), json=change, headers=headers
        ) as answer:
            return parse(PersonView, await answer.read())

    person = with_archive(data, profile, send)
    console.print(f"{person.username}: {person.role}, {_state(person)}", markup=False)


@app.command()
def delete(
    user: UserArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Delete a person, and end their logins at once."""
    if not yes:
        typer.confirm(f"Delete the user {user}?", abort=True, err=True)

    async def send(archive: Archive) -> None:
        person = await _find(archive, user)
        async with archive.client.request("DELETE", _url(archive, person)):
            console.print(f"deleted {person.username}", markup=False)

    with_archive(data, profile, send)


@app.command()
def reset_password(
    user: UserArgument,
    ask_password: AskOption = False,
    password_stdin: StdinOption = False,
    json: JsonOption = False,
    data: DataOption = None,
    profile: ProfileOption = None,
) -> None:
    """Give a person another password, to be changed at the next login, and unlock them."""
    reset = validated(PasswordReset, {"new_password": _new_password(ask_password, password_stdin)})

    async def send(archive: Archive) -> PersonWithPassword:
        person = await _find(archive, user)
        return await _send(archive, f"{PATH}/{person.id}/reset-password", reset)

    _print_password(with_archive(data, profile, send), as_json=json)


@app.command()
def unlock(user: UserArgument, data: DataOption = None, profile: ProfileOption = None) -> None:
    """Unlock a person who entered too many wrong passwords."""

    async def send(archive: Archive) -> None:
        person = await _find(archive, user)
        async with archive.client.request("POST", f"{_url(archive, person)}/unlock"):
            console.print(f"unlocked {person.username}", markup=False)

    with_archive(data, profile, send)


def _new_password(ask_password: bool, password_stdin: bool) -> str | None:
    if not (ask_password or password_stdin):
        return None
    return ask_new("Password", from_stdin=password_stdin)


async def _send(archive: Archive, path: str, body: BaseModel) -> PersonWithPassword:
    return parse(PersonWithPassword, await archive.client.post(archive.url("admin", path), body))


async def _all(archive: Archive, *, role: str | None = None, search: str | None = None) -> list[PersonView]:
    found: list[PersonView] = []
    asked = {"role": role, "search": search}
    chosen = "".join(f"&{name}={quote(value, safe='')}" for name, value in asked.items() if value)
    while True:
        url = archive.url("admin", f"{PATH}?limit={PAGE_SIZE}&offset={len(found)}{chosen}")
        page = await archive.client.get(url, PersonPage)
        found += page.items
        if not page.has_more:
            return found


async def _find(archive: Archive, user: str) -> PersonView:
    for each in await _all(archive):
        if user.lower() in (each.username, str(each.id)):
            return each
    raise NotFoundError(f"there is no user {user}; `artstore user list` shows them")


def _url(archive: Archive, person: PersonView) -> str:
    return archive.url("admin", f"{PATH}/{person.id}")


def _state(person: PersonView) -> str:
    states: dict[str, bool] = {
        "disabled": not person.enabled,
        "locked out": person.locked_until is not None,
        "password to be changed": person.must_change_password,
    }
    return ", ".join(name for name, is_so in states.items() if is_so) or "active"


def _print_password(person: PersonWithPassword, *, as_json: bool) -> None:
    if as_json:
        print_json(person)
        return
    print_table(("username", "password"), [(person.username, person.password or "as you have given it")])
    if person.password:
        errors.print("The password is not shown again: tell it to its owner, who has to change it.")
