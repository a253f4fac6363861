"""The hooks: one per kind of plugin. They introduce providers; they take nothing and do no I/O."""

from typing import Any, Final

import pluggy

from artstore.core.spec.auth import Authenticator
from artstore.core.spec.cache import Cache
from artstore.core.spec.database import Database
from artstore.core.spec.provider import Provider
from artstore.core.spec.secrets import SecretProvider
from artstore.core.spec.storage import StorageBackend

PROJECT: Final = "artstore"
"""Name of the entry-point group and of the pluggy project."""

hookspec: Final = pluggy.HookspecMarker(PROJECT)
hookimpl: Final = pluggy.HookimplMarker(PROJECT)


@hookspec
def artstore_storage_providers() -> list[Provider[Any, StorageBackend]]:  # type: ignore[empty-body]
    """Types of storage back end."""


@hookspec
def artstore_secret_providers() -> list[Provider[Any, SecretProvider]]:  # type: ignore[empty-body]
    """Types of secret provider."""


@hookspec
def artstore_auth_providers() -> list[Provider[Any, Authenticator]]:  # type: ignore[empty-body]
    """Types of authenticator."""


@hookspec
def artstore_metadata_providers() -> list[Provider[Any, Database]]:  # type: ignore[empty-body]
    """Types of SQL database."""


@hookspec
def artstore_cache_providers() -> list[Provider[Any, Cache]]:  # type: ignore[empty-body]
    """Types of cache."""
