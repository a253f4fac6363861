"""Finds the plugins that the configuration names, and opens the back ends they provide."""

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeVar, cast

import pluggy
from pydantic import ValidationError

from artstore.core.config import PluginSection
from artstore.core.logging import get_logger
from artstore.core.metrics import Metrics
from artstore.core.secret_rotation import LOOK_INTERVAL, SecretFollower
from artstore.core.secrets import SecretsChain, refers_to_secrets
from artstore.core.spec import (
    PROJECT,
    SPEC_VERSION,
    Authenticator,
    Cache,
    Database,
    PluginConfig,
    PluginContext,
    PluginError,
    Provider,
    SecretProvider,
    StorageBackend,
    hookspecs,
)
from artstore.core.validation import describe, one_line

T = TypeVar("T")
KindName = Literal["storage", "secrets", "auth", "metadata", "cache"]
AddCheck = Callable[[str, Callable[[], Awaitable[str]]], None]
"""Adds a check, by its name, to the readiness of a role."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of plugin: the name before the underscore, and its hook."""

    name: KindName
    hook: str


STORAGE: Final[Kind[StorageBackend]] = Kind("storage", "artstore_storage_providers")
SECRETS: Final[Kind[SecretProvider]] = Kind("secrets", "artstore_secret_providers")
AUTH: Final[Kind[Authenticator]] = Kind("auth", "artstore_auth_providers")
METADATA: Final[Kind[Database]] = Kind("metadata", "artstore_metadata_providers")
CACHE: Final[Kind[Cache]] = Kind("cache", "artstore_cache_providers")
KINDS: Final[tuple[Kind[Any], ...]] = (STORAGE, SECRETS, AUTH, METADATA, CACHE)


class Registry:
    """The plugins that are enabled. A value: nothing is found or registered by importing a module."""

    def __init__(self, *, base_directory: Path) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._base_directory = base_directory
        self._loaded: set[str] = set()

    def provider(self, kind: Kind[T], type_name: str) -> Provider[Any, T]:
        """The provider that ``type = "…"`` names, importing its plugin if that has not been done.

        Raises:
            PluginError: not installed, not importable, ambiguous, or written for another spec.
        """
        self._load(f"{kind.name}_{type_name}")
        for provider in self._providers(kind):
            if provider.name == type_name:
                return _supported(kind, provider)
        raise PluginError(
            f"plugin {kind.name}_{type_name} is installed but provides no {kind.name} {type_name!r}"
        )

    def config(self, kind: Kind[Any], section: PluginSection) -> PluginConfig:
        """The validated options of ``section``, relative paths resolved.

        Raises:
            PluginError: as :meth:`provider`, or an option is wrong.
        """
        provider = self.provider(kind, section.type)
        try:
            config: PluginConfig = provider.config.model_validate(section.options)
        except ValidationError as error:
            faults = one_line(describe(error, provider.config))
            raise PluginError(f"[{kind.name}] type {section.type}: {faults}") from None
        return _with_absolute_paths(config, self._base_directory)

    @asynccontextmanager
    async def open(
        self,
        kind: Kind[T],
        section: PluginSection,
        *,
        secrets: SecretsChain,
        metrics: Metrics,
        client_ssl_context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        add_check: AddCheck | None = None,
        look_interval: float = LOOK_INTERVAL,
    ) -> AsyncGenerator[T, None]:
        """Resolve the section's secrets, validate it, and hold its back end open; then follow the secrets.

        Without a ``client_ssl_context``, what it connects to is trusted by the system's authorities.
        ``add_check`` is told how to see whether the secrets of the moment are in use.

        Call :meth:`provider` beforehand, outside the event loop: it imports the plugin.
        """
        provider = self.provider(kind, section.type)

        async def resolve() -> PluginConfig:
            return self.config(kind, await secrets.resolve_section(section))

        config, name = await resolve(), f"{kind.name}_{section.type}"
        follower = SecretFollower(resolve, config, plugin=name, rotations=metrics.secret_rotations)
        context = PluginContext(
            logger=get_logger(name),
            metrics=metrics.for_plugin(name),
            client_ssl_context=client_ssl_context,
            follow_secrets=follower.hand_to,
        )
        refers = refers_to_secrets(section.options)
        if refers and add_check is not None:
            add_check(f"{kind.name}-secrets", follower.check)
        following = follower.following(interval=look_interval) if refers else nullcontext()
        async with provider.open(config, context) as backend, following:
            yield backend

    def _load(self, name: str) -> None:
        if name in self._loaded:
            return
        entry_point = _entry_point(name)
        try:
            self._manager.register(entry_point.load(), name=name)
            self._manager.check_pending()
        except Exception as error:
            # Whatever a foreign module does on import, the operator must learn which plugin did it.
            raise PluginError(
                f"plugin {name} cannot be loaded: {type(error).__name__}: {error}; "
                f"is it complete? (pip install '{_distribution(entry_point)}[{name}]')"
            ) from error
        self._loaded.add(name)

    def _providers(self, kind: Kind[T]) -> Iterable[Provider[Any, T]]:
        # pluggy is untyped: this is the one place that gives its answers a type.
        hook = cast("Callable[[], list[list[Provider[Any, T]]]]", getattr(self._manager.hook, kind.hook))
        return [provider for group in hook() for provider in group]


def installed_plugins() -> list[EntryPoint]:
    """Every installed plugin, enabled or not, by name. Imports none."""
    return sorted(entry_points(group=PROJECT), key=lambda entry_point: entry_point.name)


def _entry_point(name: str) -> EntryPoint:
    found = [entry_point for entry_point in installed_plugins() if entry_point.name == name]
    if not found:
        others = ", ".join(e.name for e in installed_plugins() if e.name.split("_")[0] == name.split("_")[0])
        raise PluginError(f"plugin {name} is not installed; installed are: {others or 'none of this kind'}")
    owners = sorted({_distribution(entry_point) for entry_point in found})
    if len(owners) > 1:
        raise PluginError(f"plugin {name} is offered by {' and '.join(owners)}; uninstall all but one")
    return found[0]


def _distribution(entry_point: EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist else "an unknown distribution"


def _supported(kind: Kind[T], provider: Provider[Any, T]) -> Provider[Any, T]:
    if provider.spec != SPEC_VERSION:
        raise PluginError(
            f"plugin {kind.name}_{provider.name} is written for version {provider.spec} of the plugin API, "
            f"this ArtStore speaks version {SPEC_VERSION}; install a release of the plugin that matches"
        )
    return provider


def _with_absolute_paths(config: PluginConfig, base: Path) -> PluginConfig:
    relative = {
        name: base / value for name, value in config if isinstance(value, Path) and not value.is_absolute()
    }
    return config.model_copy(update=relative) if relative else config
