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
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from artstore.cli.directory import ADMINISTRATOR, CONFIG_NAME, DEFAULT_DATA, RUNNING_NAME
from artstore.cli.secrets_chain import prepare_secrets
from artstore.core.client.roles import RoleClient, open_role_client
from artstore.core.client.tokens import ClientCredentials, GetCredentials
from artstore.core.config import RoleName, environment_variable, read_settings
from artstore.core.exchange import Endpoints
from artstore.core.metrics import Metrics
from artstore.core.registry import Registry
from artstore.core.spec import ConfigurationError, UnavailableError, UpstreamError
from artstore.core.tls.endpoint import FindKey, TlsEndpoint
from artstore.core.tls.metrics import TlsMetrics
from artstore.core.tls.settings import TlsSettings
from artstore.core.validation import describe

T = TypeVar("T")

PROFILES: Final = Path(typer.get_app_dir("artstore")) / "profiles.toml"
ADMINISTRATOR_SECRET: Final = f"client-{ADMINISTRATOR}"

DataOption = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Directory of a cluster on this machine.")
]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help=f"A section of {PROFILES}.")
]


@dataclass(frozen=True, slots=True)
class Target:
    """Where admin is, how to get credentials for it, and how to trust it.

    ``find_key`` looks a private key up that ``tls`` names as a secret.
    """

    admin_url: str
    credentials: GetCredentials = field(repr=False)
    tls: TlsSettings
    base_directory: Path = Path()
    find_key: FindKey | None = field(default=None, repr=False)


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
    token_url = f"{target.admin_url}/api/v1/auth/token"
    async with (
        _open_tls(target) as tls,
        open_role_client(
            token_url=token_url, credentials=target.credentials, is_role=False, tls=tls
        ) as client,
    ):
        try:
            endpoints = await client.get(f"{target.admin_url}/api/v1/endpoints", Endpoints)
        except (UnavailableError, UpstreamError) as error:
            raise UnavailableError(f"cannot use the cluster at {target.admin_url}: {error.detail}") from error
        yield Archive(client, target.admin_url, endpoints)


@asynccontextmanager
async def _open_tls(target: Target) -> AsyncGenerator[TlsEndpoint | None, None]:
    """As a client only; nothing where there is no TLS."""
    if not target.admin_url.startswith("https://"):
        yield None
        return
    tls = TlsEndpoint(
        target.tls.model_copy(update={"enabled": False}),
        role=ADMINISTRATOR,
        base_directory=target.base_directory,
        metrics=TlsMetrics(CollectorRegistry()),
    )
    async with tls.open(target.find_key or _no_secrets):
        yield tls


async def _no_secrets(name: str) -> bytes:
    raise ConfigurationError(f"the secret {name} cannot be looked up without the directory of a cluster")


def _target(data: Path | None, profile: str | None) -> Target:
    """An option wins over the environment, which wins over what lies in the current directory."""
    if data is not None:
        return _of_directory(data)
    if profile is not None:
        return _of_profile(profile)
    if (url := environment_variable("ARTSTORE_URL")) is not None:
        return _of_environment(url)
    if (name := environment_variable("ARTSTORE_PROFILE")) is not None:
        return _of_profile(name)
    directory = Path(environment_variable("ARTSTORE_DATA") or DEFAULT_DATA)
    if (directory / CONFIG_NAME).exists():
        return _of_directory(directory)
    if PROFILES.exists():
        return _of_profile("default")
    raise ConfigurationError(
        f"no cluster is named: use --data DIR, --profile NAME, or ARTSTORE_URL, ARTSTORE_CLIENT_ID and "
        f"ARTSTORE_CLIENT_SECRET (there is no {DEFAULT_DATA} here)"
    )


def _of_directory(directory: Path) -> Target:
    settings = read_settings(directory / CONFIG_NAME)
    running = directory / RUNNING_NAME
    admin_url = running.read_text().strip() if running.exists() else settings.url("admin")
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

    async def find_key(name: str) -> bytes:
        async with open_secrets(Metrics(role="client")) as secrets:
            return await secrets.require_bytes(name)

    return Target(admin_url, credentials, settings.tls, settings.base_directory, find_key)


def _of_environment(url: str) -> Target:
    client_id = environment_variable("ARTSTORE_CLIENT_ID")
    client_secret = environment_variable("ARTSTORE_CLIENT_SECRET")
    if client_id is None or client_secret is None:
        raise ConfigurationError(
            "ARTSTORE_URL is set: set ARTSTORE_CLIENT_ID and ARTSTORE_CLIENT_SECRET as well"
        )
    return _target_of("the environment", url, client_id, client_secret, _certificates_of_environment())


def _certificates_of_environment() -> TlsSettings:
    names = ("ca_cert_file", "client_cert_file", "client_key_file")
    given = {name: environment_variable(f"ARTSTORE_{name.upper()}") for name in names}
    try:
        return TlsSettings.model_validate({name: value for name, value in given.items() if value})
    except ValidationError as error:
        raise ConfigurationError("; ".join(message for _, message in describe(error))) from None


def _target_of(source: str, url: str, client_id: str, client_secret: str, tls: TlsSettings) -> Target:
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"{source}: the URL {url} should begin with http:// or https://")
    if ":" in client_id:
        raise ConfigurationError(f"{source}: a client id has no colon; the secret is given by itself")
    return Target(url.rstrip("/"), _known(ClientCredentials(client_id, client_secret)), tls)


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
    return _target_of(
        f"[{name}] in {PROFILES}",
        profile.url,
        profile.client_id,
        profile.client_secret.get_secret_value(),
        profile.tls,
    )


def _known(credentials: ClientCredentials) -> Callable[[], Awaitable[ClientCredentials]]:
    async def get() -> ClientCredentials:
        return credentials

    return get
