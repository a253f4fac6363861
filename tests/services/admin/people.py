"""People of a real admin: made once, as their passwords take a while, and then copied for each test."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientSession, TCPConnector

from artstore.core.scopes import PersonRole
from tests.services.admin.harness import AdminClient, Port, admin_settings, running_admin
from tests.services.storage_element.harness import Answer

LOGIN: Final = "/api/v1/admin-auth/login"
REFRESH: Final = "/api/v1/admin-auth/refresh"
LOGOUT: Final = "/api/v1/admin-auth/logout"
CHANGE_PASSWORD: Final = "/api/v1/admin-auth/change-password"
ME: Final = "/api/v1/admin-auth/me"
PEOPLE: Final = "/api/v1/admin-users"

PASSWORD: Final = "Wet-Cabbage7-orbit"
"""Of everybody in :data:`ROLES`."""
NEW_PASSWORD: Final = "Dry-Walnut4-comet"
WRONG: Final = "Wet-Cabbage7-orbiT"
ROLES: Final[Mapping[str, PersonRole]] = {"admin": "super_admin", "anna": "admin", "rita": "readonly"}
"""Everybody who is there, with their roles."""


async def make_people(data: Path) -> None:
    """Start an admin on an empty directory, and let everybody choose a password of their own."""
    async with running_admin(admin_settings(data, Port.free())) as admin:
        first = (data / "secrets/admin-password").read_text()
        await change_password(admin, "admin", old=first, new=PASSWORD)
        ada = await log_in(admin, "admin")
        for username, role in ROLES.items():
            if username != "admin":
                made = await admin.request(
                    "POST",
                    PEOPLE,
                    token=ada["access_token"],
                    json={"username": username, "role": role, "email": f"{username}@archive.example"},
                )
                await change_password(admin, username, old=made.json()["password"], new=PASSWORD)


@asynccontextmanager
async def admin_with_people(prepared: Path, data: Path, **sections: Any) -> AsyncGenerator[AdminClient, None]:
    """An admin on a copy of what :func:`make_people` has made."""
    await asyncio.to_thread(shutil.copytree, prepared, data, dirs_exist_ok=True)
    async with running_admin(admin_settings(data, Port.free(), **sections)) as admin:
        yield admin


async def try_login(
    admin: AdminClient, username: str, password: str = PASSWORD, headers: Mapping[str, str] | None = None
) -> Answer:
    """Ask for tokens, whatever comes."""
    return await admin.send(
        "POST", LOGIN, json={"username": username, "password": password}, headers=headers or {}
    )


async def log_in(admin: AdminClient, username: str, password: str = PASSWORD) -> dict[str, Any]:
    """The tokens of somebody, who must get them."""
    answer = await try_login(admin, username, password)
    assert answer.status == 200, answer
    tokens: dict[str, Any] = answer.json()
    return tokens


async def try_refresh(admin: AdminClient, refresh_token: str) -> Answer:
    """Ask for the next tokens, whatever comes."""
    return await admin.send("POST", REFRESH, json={"refresh_token": refresh_token})


async def change_password(admin: AdminClient, username: str, *, old: str, new: str) -> None:
    """Change a password, which must succeed."""
    answer = await try_change(admin, username, old=old, new=new)
    assert answer.status == 204, answer


async def try_change(admin: AdminClient, username: str, *, old: str, new: str) -> Answer:
    """Change a password, whatever comes."""
    return await admin.send(
        "POST", CHANGE_PASSWORD, json={"username": username, "password": old, "new_password": new}
    )


async def person(admin: AdminClient, username: str) -> dict[str, Any]:
    """What is shown of somebody."""
    found = (await admin.get(PEOPLE, search=username))["items"]
    shown: dict[str, Any] = next(each for each in found if each["username"] == username)
    return shown


async def works(admin: AdminClient, token: str) -> bool:
    """Whether an access token still lets its owner see themselves."""
    answer = await admin.request("GET", ME, token=token)
    assert answer.status in (200, 401), answer
    return answer.status == 200


async def login_from(admin: AdminClient, address: str, username: str, password: str) -> Answer:
    """Try to log in from another address of this machine, all of 127.0.0.0/8 being its own."""
    async with (
        ClientSession(connector=TCPConnector(local_addr=(address, 0))) as session,
        session.post(admin.url + LOGIN, json={"username": username, "password": password}) as response,
    ):
        return Answer(response.status, response.headers, await response.read())
