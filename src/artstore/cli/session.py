"""The login of a person on this machine: kept in a file that only they can read, and refreshed in time."""

import asyncio
import fcntl
import os
import stat
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Final, TypeVar

from aiohttp import ClientError, ClientSession, ClientTimeout
from pydantic import BaseModel, Field, ValidationError

from artstore.cli.place import CONFIG_DIRECTORY, Place, place_of_directory, place_of_url
from artstore.core.client.roles import parse
from artstore.core.client.tokens import AccessTokens
from artstore.core.http.problems import remote_error
from artstore.core.spec import ConfigurationError, UnauthenticatedError, UnavailableError
from artstore.services.admin.login_models import Refresh
from artstore.services.admin.token_models import PersonToken

T = TypeVar("T")

LOGIN_FILE: Final = CONFIG_DIRECTORY / "login.json"
AUTH_PATH: Final = "/api/v1/admin-auth"

_MARGIN: Final = 0.2
"""Of an access token's lifetime: what is left of it is refreshed before it is needed."""
_TIMEOUT: Final = ClientTimeout(total=30)


class Session(BaseModel):
    """Who is logged in where. ``directory`` is that of the cluster, where it was found by that."""

    admin_url: str
    directory: Path | None = None
    username: str
    access_token: str = Field(repr=False)
    refresh_token: str = Field(repr=False)
    refresh_at: float
    """Seconds since the epoch."""

    @classmethod
    def of(cls, token: PersonToken, *, admin_url: str, username: str, directory: Path | None) -> "Session":
        """What admin has just given."""
        return cls(
            admin_url=admin_url,
            directory=directory,
            username=username,
            access_token=token.access_token,
            refresh_token=token.refresh_token,
            refresh_at=time.time() + token.expires_in * (1 - _MARGIN),
        )

    def place(self) -> Place:
        """Where admin is: trusted as its directory says, or the environment."""
        if self.directory is None:
            return place_of_url("the login", self.admin_url)
        return replace(place_of_directory(self.directory), admin_url=self.admin_url)


class SessionFile:
    """The file. Commands that run at once take turns: a refresh token is good once."""

    def __init__(self, path: Path = LOGIN_FILE) -> None:
        self._path = path

    def read(self) -> Session | None:
        """Who is logged in; ``None`` when nobody is.

        Raises:
            ConfigurationError: others can read the file, or it is damaged.
        """
        try:
            if self._path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigurationError(
                    f"{self._path} holds a login, but others can read it: artstore logout"
                )
            return Session.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError):
            raise ConfigurationError(f"{self._path} cannot be read: log in again (artstore login)") from None

    def write(self, session: Session) -> None:
        """Keep a login in place of another one, as a whole or not at all."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(session.model_dump_json().encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self._path)

    def delete(self) -> None:
        """Forget the login."""
        self._path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Generator[None, None, None]:
        """Nobody else refreshes meanwhile. Waits for whoever does."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class SessionTokens(AccessTokens):
    """Gives the access token of whoever is logged in."""

    def __init__(self, session: ClientSession, file: SessionFile) -> None:
        self._session = session
        self._file = file
        self._refused: str | None = None

    async def get(self) -> str:
        """A token that holds, refreshed if it has to be.

        Raises:
            UnauthenticatedError: the login has ended.
            UnavailableError: admin cannot be reached.
        """
        if (login := await self._usable()) is not None:
            return login.access_token
        lock = self._file.locked()
        await asyncio.to_thread(lock.__enter__)
        try:
            # Another command may have refreshed it while we waited.
            login = await self._usable() or await self._refresh()
        finally:
            lock.__exit__(None, None, None)
        return login.access_token

    def forget(self, value: str) -> None:
        self._refused = value

    async def close(self) -> None:
        """Nothing is under way."""

    async def _usable(self) -> Session | None:
        login = await self._read()
        is_usable = login.access_token != self._refused and time.time() < login.refresh_at
        return login if is_usable else None

    async def _read(self) -> Session:
        login = await asyncio.to_thread(self._file.read)
        if login is None:
            raise UnauthenticatedError("nobody is logged in: artstore login")
        return login

    async def _refresh(self) -> Session:
        login = await self._read()
        token = await post(
            self._session,
            f"{login.admin_url}{AUTH_PATH}/refresh",
            Refresh(refresh_token=login.refresh_token),
            read=lambda body: parse(PersonToken, body),
        )
        refreshed = Session.of(
            token, admin_url=login.admin_url, username=login.username, directory=login.directory
        )
        await asyncio.to_thread(self._file.write, refreshed)
        return refreshed


async def post(session: ClientSession, url: str, body: BaseModel, *, read: Callable[[bytes], T]) -> T:
    """Send what needs no token; ``read`` makes sense of the answer.

    Raises:
        UnavailableError: there is no answer.
        ArtStoreError: what the answer says.
    """
    data = body.model_dump_json(exclude_none=True).encode()
    headers = {"Content-Type": "application/json"}
    try:
        async with session.post(
            url, data=data, headers=headers, timeout=_TIMEOUT, allow_redirects=False
        ) as response:
            answer = await response.read()
    except (ClientError, TimeoutError, OSError) as error:
        raise UnavailableError(f"cannot use the cluster at {url} ({type(error).__name__})") from error
    if response.status >= HTTPStatus.BAD_REQUEST:
        raise remote_error(response.status, answer, response.headers, is_role=False)
    return read(answer)
