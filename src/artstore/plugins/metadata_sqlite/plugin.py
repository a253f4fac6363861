"""Introduces the SQLite database: its options and how it is opened."""

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from artstore.core.spec import Database, PluginConfig, PluginContext, Provider, hookimpl


class SqliteConfig(PluginConfig):
    """The ``[metadata]`` section when ``type = "sqlite"``."""

    path: Annotated[Path, Field(description="The database file; it and its folder are created if absent.")]
    synchronous: Annotated[
        Literal["full", "normal"],
        Field(
            description="`full`: a commit survives the loss of power. `normal`: the last moments before "
            "it may be lost; the indexer reads them again from the elements."
        ),
    ] = "full"
    readers: Annotated[int, Field(ge=1, le=64, description="Threads that read.")] = 4
    busy_timeout: Annotated[
        timedelta,
        Field(gt=timedelta(0), description="How long to wait while another process writes, in seconds."),
    ] = timedelta(seconds=10)


def open_sqlite(config: SqliteConfig, context: PluginContext) -> AbstractAsyncContextManager[Database]:
    """The database of ``config``; entering it raises ``ConfigurationError`` when the file is unusable."""
    from artstore.plugins.metadata_sqlite.backend import open_database

    return open_database(
        config.path,
        synchronous=config.synchronous,
        readers=config.readers,
        busy_timeout=config.busy_timeout.total_seconds(),
        logger=context.logger,
    )


@hookimpl
def artstore_metadata_providers() -> list[Provider[SqliteConfig, Database]]:
    return [Provider(name="sqlite", spec=1, config=SqliteConfig, open=open_sqlite)]
