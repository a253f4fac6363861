"""Where a cluster is, and how a command trusts it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import typer
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from artstore.cli.directory import ADMINISTRATOR, CONFIG_NAME, DEFAULT_DATA, RUNNING_NAME
from artstore.cli.secrets_chain import prepare_secrets
from artstore.core.config import Settings, environment_variable, read_settings
from artstore.core.metrics import Metrics
from artstore.core.registry import Registry
from artstore.core.spec import ConfigurationError
from artstore.core.tls.endpoint import FindKey, TlsEndpoint
from artstore.core.tls.metrics import TlsMetrics
from artstore.core.tls.settings import TlsSettings
from artstore.core.validation import describe

CONFIG_DIRECTORY: Final = Path(typer.get_app_dir("artstore"))
"""What a person keeps for all clusters."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where admin is, and how to trust it.

    ``find_key`` looks a private key up that ``tls`` names as a secret.
    """

    admin_url: str
    tls: TlsSettings
    base_directory: Path = Path()
    find_key: FindKey | None = field(default=None, repr=False)

    @property
    def token_url(self) -> str:
        """Where applications get their tokens."""
        return f"{self.admin_url}/api/v1/auth/token"


def place_of_directory(directory: Path, settings: Settings | None = None) -> Place:
    """Of the cluster in ``directory``.

    Raises:
        ConfigurationError: there is none.
    """
    settings = settings or read_settings(directory / CONFIG_NAME)
    running = directory / RUNNING_NAME
    admin_url = running.read_text().strip() if running.exists() else settings.url("admin")
    open_secrets = prepare_secrets(Registry(base_directory=settings.base_directory), settings)

    async def find_key(name: str) -> bytes:
        async with open_secrets(Metrics(role="client")) as secrets:
            return await secrets.require_bytes(name)

    return Place(admin_url, settings.tls, settings.base_directory, find_key)


def place_of_url(source: str, url: str, tls: TlsSettings | None = None) -> Place:
    """At ``url``, trusted as ``tls`` says, or the environment.

    Raises:
        ConfigurationError: it is no URL that can be used; ``source`` says whose it is.
    """
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"{source}: the URL {url} should begin with http:// or https://")
    try:
        urlsplit(url)
    except ValueError as error:
        raise ConfigurationError(f"{source}: {url} is no URL ({error})") from None
    return Place(url.rstrip("/"), tls or certificates_of_environment())


def place_to_log_in(url: str | None, data: Path | None) -> tuple[Place, Path | None]:
    """Of ``url``, of the cluster in ``data``, or where the environment says; and the directory, if it is one.

    Raises:
        ConfigurationError: nothing says it.
    """
    if url is not None:
        return place_of_url("URL", url), None
    if data is None and (named := environment_variable("ARTSTORE_URL")) is not None:
        return place_of_url("ARTSTORE_URL", named), None
    directory = (data or Path(environment_variable("ARTSTORE_DATA") or DEFAULT_DATA)).resolve()
    return place_of_directory(directory), directory


def certificates_of_environment() -> TlsSettings:
    """What variables say of TLS.

    Raises:
        ConfigurationError: they contradict each other.
    """
    names = ("ca_cert_file", "client_cert_file", "client_key_file")
    given = {name: environment_variable(f"ARTSTORE_{name.upper()}") for name in names}
    try:
        return TlsSettings.model_validate({name: value for name, value in given.items() if value})
    except ValidationError as error:
        raise ConfigurationError("; ".join(message for _, message in describe(error))) from None


@asynccontextmanager
async def open_tls(place: Place) -> AsyncGenerator[TlsEndpoint | None, None]:
    """As a client only; nothing where there is no TLS."""
    if not place.admin_url.startswith("https://"):
        yield None
        return
    tls = TlsEndpoint(
        place.tls.model_copy(update={"enabled": False}),
        role=ADMINISTRATOR,
        base_directory=place.base_directory,
        metrics=TlsMetrics(CollectorRegistry()),
    )
    async with tls.open(place.find_key or _no_secrets):
        yield tls


async def _no_secrets(name: str) -> bytes:
    raise ConfigurationError(f"the secret {name} cannot be looked up without the directory of a cluster")
