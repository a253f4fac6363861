"""The ``k8s`` secret provider: its options and how it is opened."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from pydantic import Field

from artstore.core.spec import PluginConfig, PluginContext, Provider, SecretProvider, hookimpl
from artstore.plugins.secrets_k8s.backend import MountedSecrets


class MountedConfig(PluginConfig):
    """A ``secrets`` section when ``type = "k8s"``."""

    directory: Annotated[Path, Field(description="Where the volume of the secret is mounted.")] = Path(
        "/var/run/secrets/artstore"
    )


@asynccontextmanager
async def open_mounted(config: MountedConfig, context: PluginContext) -> AsyncGenerator[SecretProvider, None]:
    """Secrets from a mounted volume, which need not be there: then it has none."""
    yield MountedSecrets(config.directory)


@hookimpl
def artstore_secret_providers() -> list[Provider[MountedConfig, SecretProvider]]:
    """Introduce the ``k8s`` type."""
    return [Provider(name="k8s", spec=1, config=MountedConfig, open=open_mounted)]
