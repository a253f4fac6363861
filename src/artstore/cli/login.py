"""`artstore login`, `logout`, `whoami` and `change-password`: who the commands of this machine are."""

import asyncio
from typing import Annotated, Any

import jwt
import typer

from artstore.cli.arguments import validated
from artstore.cli.connection import Archive, DataOption, ProfileOption, with_archive
from artstore.cli.output import JsonOption, console, errors, print_json, time_text
from artstore.cli.passwords import StdinOption, ask, ask_new
from artstore.cli.place import Place, open_tls, place_to_log_in
from artstore.cli.session import AUTH_PATH, Session, SessionFile, SessionTokens, post
from artstore.core.client.roles import open_client, open_session, parse
from artstore.core.http.problems import RemoteError
from artstore.core.spec import (
    ConfigurationError,
    PasswordExpiredError,
    UnauthenticatedError,
    UnavailableError,
    UpstreamError,
)
from artstore.services.admin.login_models import Login, PasswordChange
from artstore.services.admin.token_models import PersonToken

UrlArgument = Annotated[
    str | None,
    typer.Argument(metavar="URL", help="URL of admin. Default: that of --data, or ARTSTORE_URL."),
]
UsernameOption = Annotated[str | None, typer.Option("--username", "-u", help="Your username.")]


def login(
    url: UrlArgument = None,
    username: UsernameOption = None,
    password_stdin: StdinOption = False,
    data: DataOption = None,
) -> None:
    """Log in. Other commands then run as you until you log out.

    If the password has expired, a new one is asked for.
    """
    place, directory = place_to_log_in(url, data)
    name = username or typer.prompt("Username", err=True)
    password = ask("Password", from_stdin=password_stdin)
    try:
        token = asyncio.run(_login(place, _credentials(name, password)))
    except RemoteError as error:
        if error.remote_code != PasswordExpiredError.code or password_stdin:
            raise
        errors.print("The password has to be changed.")
        password = _change(place, name, password, from_stdin=False)
        token = asyncio.run(_login(place, _credentials(name, password)))
    file = SessionFile()
    with file.locked():
        file.write(Session.of(token, admin_url=place.admin_url, username=name.lower(), directory=directory))
    console.print(f"logged in as {name.lower()} at {place.admin_url}", markup=False)
    if token.password_expires_soon and token.password_expires_at is not None:
        errors.print(
            f"The password expires on {time_text(token.password_expires_at)}: artstore change-password"
        )


def logout() -> None:
    """Log out and revoke this login everywhere."""
    file = SessionFile()
    try:
        session = file.read()
        if session is None:
            raise ConfigurationError("nobody is logged in")
        asyncio.run(_logout(session.place(), file))
    finally:
        # Whatever the server says: on this machine nobody is logged in any more.
        file.delete()
    console.print("logged out")


def whoami(json: JsonOption = False, data: DataOption = None, profile: ProfileOption = None) -> None:
    """Show as whom commands run here."""

    async def ask_server(archive: Archive) -> dict[str, Any]:
        # The server has just accepted it: what it says is true.
        claims: dict[str, Any] = jwt.decode(
            await archive.client.tokens.get(), options={"verify_signature": False}
        )
        return claims | {"admin_url": archive.endpoints.admin}

    claims = with_archive(data, profile, ask_server)
    if json:
        told = ("admin_url", "client_id", "name", "role", "scope", "sub", "type")
        print_json({name: claims[name] for name in told if claims.get(name) is not None})
        return
    kind = "person" if claims["type"] == "admin_user" else "service account"
    role = f", {claims['role']}" if claims.get("role") else ""
    console.print(f"{claims['name']} ({kind}{role}) at {claims['admin_url']}", markup=False)


def change_password(
    url: UrlArgument = None,
    username: UsernameOption = None,
    password_stdin: StdinOption = False,
    data: DataOption = None,
) -> None:
    """Change your password. Every login ends, this one included.

    Standard input has two lines: the present password, and the new one.
    """
    known = SessionFile().read()
    is_known = known is not None and url is None and data is None
    place = known.place() if known is not None and is_known else place_to_log_in(url, data)[0]
    name = username or (known.username if known else typer.prompt("Username", err=True))
    _change(place, name, ask("Present password", from_stdin=password_stdin), from_stdin=password_stdin)
    console.print(f"changed the password of {name}; log in again: artstore login", markup=False)


def _credentials(username: str, password: str) -> Login:
    return validated(Login, {"username": username, "password": password})


def _change(place: Place, username: str, password: str, *, from_stdin: bool) -> str:
    new = ask_new("New password", from_stdin=from_stdin)
    change = validated(PasswordChange, {"username": username, "password": password, "new_password": new})

    async def send() -> None:
        async with open_tls(place) as tls, open_session(tls) as session:
            await post(session, f"{place.admin_url}{AUTH_PATH}/change-password", change, read=lambda _: None)

    asyncio.run(send())
    return new


async def _login(place: Place, credentials: Login) -> PersonToken:
    async with open_tls(place) as tls, open_session(tls) as session:
        return await post(
            session,
            f"{place.admin_url}{AUTH_PATH}/login",
            credentials,
            read=lambda body: parse(PersonToken, body),
        )


async def _logout(place: Place, file: SessionFile) -> None:
    async with (
        open_tls(place) as tls,
        open_client(
            lambda session, _: SessionTokens(session, file),
            token_url=place.token_url,
            is_role=False,
            tls=tls,
        ) as client,
    ):
        try:
            async with client.request("POST", f"{place.admin_url}{AUTH_PATH}/logout"):
                pass
        except (UnavailableError, UpstreamError) as error:
            raise UnavailableError(
                f"logged out on this machine, but the cluster does not know: {error.detail}"
            ) from error
        except (RemoteError, UnauthenticatedError):
            return  # the login had ended before
