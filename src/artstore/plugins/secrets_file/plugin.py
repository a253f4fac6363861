"""The ``file`` secret provider: its options and how it is opened."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from pydantic import Field

from artstore.core.spec import PluginConfig, PluginContext, Provider, SecretProvider, hookimpl
from artstore.plugins.secrets_file.backend import FileSecrets


class FileConfig(PluginConfig):
    """A ``secrets`` section when ``type = "file"``."""

    directory: Annotated[Path, Field(description="Holds one file per secret, named like the secret.")]


@asynccontextmanager
async def open_files(config: FileConfig, context: PluginContext) -> AsyncGenerator[SecretProvider, None]:
    """Secrets from a directory, which need not exist until something is written."""
    yield FileSecrets(config.directory)


@hookimpl
def artstore_secret_providers() -> list[Provider[FileConfig, SecretProvider]]:
    """Introduce the ``file`` type."""
    return [Provider(name="file", spec=1, config=FileConfig, open=open_files)]
