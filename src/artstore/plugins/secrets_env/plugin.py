"""The ``env`` secret provider: its options and how it is opened."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from pydantic import Field

from artstore.core.spec import PluginConfig, PluginContext, Provider, SecretProvider, hookimpl
from artstore.plugins.secrets_env.backend import EnvironmentSecrets


class EnvironmentConfig(PluginConfig):
    """A ``secrets`` section when ``type = "env"``."""

    prefix: Annotated[
        str,
        Field(pattern=r"^[A-Z_][A-Z0-9_]*$", description="What the names of the variables start with."),
    ] = "ARTSTORE_SECRET_"


@asynccontextmanager
async def open_environment(
    config: EnvironmentConfig, context: PluginContext
) -> AsyncGenerator[SecretProvider, None]:
    """Secrets from the environment of this process; there is nothing to open or close."""
    yield EnvironmentSecrets(config.prefix)


@hookimpl
def artstore_secret_providers() -> list[Provider[EnvironmentConfig, SecretProvider]]:
    """Introduce the ``env`` type."""
    return [Provider(name="env", spec=1, config=EnvironmentConfig, open=open_environment)]
