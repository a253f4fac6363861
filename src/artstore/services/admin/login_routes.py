"""The operations by which people log in and out."""

from typing import Final

from aiohttp import web

from artstore.core.http.addresses import client_address
from artstore.core.http.operations import JSON, Answer, Operation, json_response
from artstore.core.keys import PRINCIPAL
from artstore.core.spec import (
    ForbiddenError,
    LockedOutError,
    LoginRefusedError,
    NotFoundError,
    PasswordExpiredError,
    PreconditionFailedError,
    UnauthenticatedError,
    UnavailableError,
)
from artstore.services.admin.keys import ADMIN
from artstore.services.admin.login_models import Login, PasswordChange, Refresh
from artstore.services.admin.person_models import PersonView
from artstore.services.admin.token_endpoint import NO_STORE
from artstore.services.admin.token_models import PersonToken


async def login(request: web.Request, body: Login) -> web.Response:
    """Log a person in: an access token, and a refresh token to get the next one with."""
    admin = request.app[ADMIN]
    with admin.metrics.logins.observe():
        token = await admin.people.logins.login(body, address=client_address(request))
    return json_response(token, headers=NO_STORE)


async def refresh(request: web.Request, body: Refresh) -> web.Response:
    """Exchange a refresh token for the next two tokens.

    It is good once. Used again, it ends the session: somebody has a copy.
    """
    return json_response(await request.app[ADMIN].people.logins.refresh(body.refresh_token), headers=NO_STORE)


async def logout(request: web.Request) -> None:
    """End the session of this access token: neither it nor its refresh token is good any more."""
    await request.app[ADMIN].people.logins.logout(request[PRINCIPAL])


async def change_password(request: web.Request, body: PasswordChange) -> None:
    """Choose another password, also in place of one that has expired. Every session ends."""
    await request.app[ADMIN].people.logins.change_password(body, address=client_address(request))


async def me(request: web.Request) -> PersonView:
    """Who is logged in."""
    return await request.app[ADMIN].people.people.get(request[PRINCIPAL].subject)


_PATH: Final = "/api/v1/admin-auth"
_REFUSALS: Final = (ForbiddenError, LockedOutError, LoginRefusedError, UnavailableError)

LOGIN_OPERATIONS: Final = (
    Operation(
        "POST",
        f"{_PATH}/login",
        login,
        public=True,
        problems=(*_REFUSALS, PasswordExpiredError),
        answers={200: Answer("Logged in.", {JSON: PersonToken})},
    ),
    Operation(
        "POST",
        f"{_PATH}/refresh",
        refresh,
        public=True,
        problems=(UnauthenticatedError, PasswordExpiredError, UnavailableError),
        answers={200: Answer("The next tokens.", {JSON: PersonToken})},
    ),
    Operation("POST", f"{_PATH}/logout", logout, principal_kind="admin_user", problems=(NotFoundError,)),
    Operation(
        "POST",
        f"{_PATH}/change-password",
        change_password,
        public=True,
        problems=(*_REFUSALS, PreconditionFailedError),
    ),
    Operation("GET", f"{_PATH}/me", me, principal_kind="admin_user", problems=(NotFoundError,)),
)
