"""How a command finds its server and credentials: a data directory, a profile, or the environment."""

import asyncio
import stat
import tomllib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from aiohttp import ClientSession
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from artstore.cli.directory import ADMINISTRATOR, CONFIG_NAME, DEFAULT_DATA
from artstore.cli.place import CONFIG_DIRECTORY, Place, open_tls, place_of_directory, place_of_url
from artstore.cli.secrets_chain import prepare_secrets
from artstore.cli.session import Session, SessionFile, SessionTokens
from artstore.core.client.metrics import ClientMetrics
from artstore.core.client.roles import MakeTokens, RoleClient, open_client
from artstore.core.client.tokens import AccessTokens, ClientCredentials, GetCredentials, TokenSource
from artstore.core.config import RoleName, environment_variable, read_settings
from artstore.core.exchange import Endpoints
from artstore.core.metrics import Metrics
from artstore.core.registry import Registry
from artstore.core.spec import ConfigurationError, UnavailableError, UpstreamError
from artstore.core.tls.settings import TlsSettings
from artstore.core.validation import describe

T = TypeVar("T")

PROFILES: Final = CONFIG_DIRECTORY / "profiles.toml"
ADMINISTRATOR_SECRET: Final = f"client-{ADMINISTRATOR}"

DataOption = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Directory of a cluster on this machine.")
]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help=f"A section of {PROFILES}.")
]


@dataclass(frozen=True, slots=True)
class Target:
    """Where admin is, and how to get access tokens from it."""

    place: Place
    tokens: MakeTokens = field(repr=False)

    @classmethod
    def of_account(cls, place: Place, credentials: GetCredentials) -> "Target":
        """A service account's."""

        def tokens(session: ClientSession, metrics: ClientMetrics) -> AccessTokens:
            return TokenSource(
                session, token_url=place.token_url, credentials=credentials, metrics=metrics.tokens
            )

        return cls(place, tokens)

    @classmethod
    def of_login(cls, login: Session, file: SessionFile) -> "Target":
        """A person's."""
        return cls(login.place(), lambda session, _: SessionTokens(session, file))


class Archive:
    """A cluster as its client sees it. Admin is where the client found it, and tells where the others are."""

    def __init__(self, client: RoleClient, admin_url: str, endpoints: Endpoints) -> None:
        self.client = client
        self.endpoints = endpoints.model_copy(update={"admin": admin_url})

    def url(self, role: RoleName, path: str) -> str:
        """``path`` at ``role``."""
        base: str = getattr(self.endpoints, role)
        return base + path


def with_archive(
    data: Path | None, profile: str | None, use: Callable[[Archive], Coroutine[Any, Any, T]]
) -> T:
    """Run ``use`` with a connection to the cluster that the options, or the environment, name.

    Raises:
        ConfigurationError: nothing names a cluster, or its credentials cannot be read.
        ArtStoreError: what the cluster answers.
    """
    target = _target(data, profile)

    async def connected() -> T:
        async with _open(target) as archive:
            return await use(archive)

    return asyncio.run(connected())


@asynccontextmanager
async def _open(target: Target) -> AsyncGenerator[Archive, None]:
    """Connect before anything else is done, so that a cluster that is down is told once."""
    admin_url = target.place.admin_url
    async with (
        open_tls(target.place) as tls,
        open_client(target.tokens, token_url=target.place.token_url, is_role=False, tls=tls) as client,
    ):
        try:
            endpoints = await client.get(f"{admin_url}/api/v1/endpoints", Endpoints)
        except (UnavailableError, UpstreamError) as error:
            raise UnavailableError(f"cannot use the cluster at {admin_url}: {error.detail}") from error
        yield Archive(client, admin_url, endpoints)


def _target(data: Path | None, profile: str | None) -> Target:
    """An option wins over the environment, that over a login, and that over what lies in this directory."""
    if data is not None:
        return _of_directory(data)
    if profile is not None:
        return _of_profile(profile)
    if (url := environment_variable("ARTSTORE_URL")) is not None:
        return _of_environment(url)
    if (name := environment_variable("ARTSTORE_PROFILE")) is not None:
        return _of_profile(name)
    if (named := environment_variable("ARTSTORE_DATA")) is not None:
        return _of_directory(Path(named))
    if (login := (file := SessionFile()).read()) is not None:
        return Target.of_login(login, file)
    if (DEFAULT_DATA / CONFIG_NAME).exists():
        return _of_directory(DEFAULT_DATA)
    if PROFILES.exists():
        return _of_profile("default")
    raise ConfigurationError(
        f"no cluster is named: log in (artstore login), use --data DIR or --profile NAME, or set "
        f"ARTSTORE_URL, ARTSTORE_CLIENT_ID and ARTSTORE_CLIENT_SECRET (there is no {DEFAULT_DATA} here)"
    )


def _of_directory(directory: Path) -> Target:
    settings = read_settings(directory / CONFIG_NAME)
    open_secrets = prepare_secrets(Registry(base_directory=settings.base_directory), settings)

    async def credentials() -> ClientCredentials:
        async with open_secrets(Metrics(role="client")) as secrets:
            value = await secrets.get(ADMINISTRATOR_SECRET)
        if value is None:
            raise ConfigurationError(
                f"secret {ADMINISTRATOR_SECRET} is not there; admin makes it at its first start: "
                f"artstore up --data {directory}"
            )
        try:
            return ClientCredentials.parse(value.text())
        except ValueError as error:
            raise ConfigurationError(f"secret {ADMINISTRATOR_SECRET} cannot be used: {error}") from None

    return Target.of_account(place_of_directory(directory, settings), credentials)


def _of_environment(url: str) -> Target:
    client_id = environment_variable("ARTSTORE_CLIENT_ID")
    client_secret = environment_variable("ARTSTORE_CLIENT_SECRET")
    if client_id is None or client_secret is None:
        raise ConfigurationError(
            "ARTSTORE_URL is set: set ARTSTORE_CLIENT_ID and ARTSTORE_CLIENT_SECRET as well"
        )
    source = "the environment"
    return _target_of(source, place_of_url(source, url), client_id, client_secret)


def _target_of(source: str, place: Place, client_id: str, client_secret: str) -> Target:
    if ":" in client_id:
        raise ConfigurationError(f"{source}: a client id has no colon; the secret is given by itself")
    return Target.of_account(place, _known(ClientCredentials(client_id, client_secret)))


class _Profile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: str
    client_id: str
    client_secret: SecretStr
    tls: TlsSettings = TlsSettings()


def _of_profile(name: str) -> Target:
    try:
        if PROFILES.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigurationError(
                f"{PROFILES} holds secrets, but others can read it: chmod 600 {PROFILES}"
            )
        profiles = tomllib.loads(PROFILES.read_text())
    except OSError as error:
        raise ConfigurationError(f"cannot read {PROFILES}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{PROFILES} is not valid TOML: {error}") from None
    if name not in profiles:
        raise ConfigurationError(
            f"{PROFILES} has no section [{name}]; it has: {', '.join(profiles) or 'none'}"
        )
    try:
        profile = _Profile.model_validate(profiles[name])
    except ValidationError as error:
        faults = "; ".join(f"{path} {message}" for path, message in describe(error, _Profile))
        raise ConfigurationError(f"[{name}] in {PROFILES}: {faults}") from None
    source = f"[{name}] in {PROFILES}"
    place = place_of_url(source, profile.url, profile.tls)
    return _target_of(source, place, profile.client_id, profile.client_secret.get_secret_value())


def _known(credentials: ClientCredentials) -> Callable[[], Awaitable[ClientCredentials]]:
    async def get() -> ClientCredentials:
        return credentials

    return get
