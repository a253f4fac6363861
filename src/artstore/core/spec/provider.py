"""How a plugin introduces a back end: a :class:`Provider`, its configuration, and what it is given."""

import ssl
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

SPEC_VERSION: Final = 1
"""Major version of the contracts in this package."""


class PluginConfig(BaseModel):
    """Base of every plugin's options: immutable, unknown options refused, secrets as ``SecretStr``.

    An option may be written as ``{secret = "name"}``: the secrets chain resolves it before validation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Logger(Protocol):
    """Structured logging: an event in the past tense and its facts."""

    @abstractmethod
    def debug(self, event: str, /, **facts: Any) -> object:
        """Record a detail for developers."""
        ...

    @abstractmethod
    def info(self, event: str, /, **facts: Any) -> object:
        """Record something that happened as it should."""
        ...

    @abstractmethod
    def warning(self, event: str, /, **facts: Any) -> object:
        """Record something an operator should look at."""
        ...

    @abstractmethod
    def error(self, event: str, /, **facts: Any) -> object:
        """Record something an operator must look at."""
        ...


class PluginMetrics(Protocol):
    """Registers numbers under the forced prefix ``artstore_plugin_<plugin>_``.

    Each method returns a function that records one sample; ``labels`` come from closed sets, never
    keys or identifiers.
    """

    @abstractmethod
    def counter(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Callable[..., None]:
        """``record(amount=1, **labels)`` adds to a counter."""
        ...

    @abstractmethod
    def gauge(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Callable[..., None]:
        """``record(value, **labels)`` sets a gauge."""
        ...

    @abstractmethod
    def histogram(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Callable[..., None]:
        """``record(value, **labels)`` observes a value, in base units."""
        ...


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What core gives a plugin when it is opened.

    Secrets arrive inside the configuration, already resolved.

    Args:
        logger: Where the plugin tells what happens.
        metrics: Where it registers its numbers.
        client_ssl_context: The context for its own connections over TLS, by the ``[tls]`` section: what to
            trust, the certificate to show, versions and suites. It follows files that change, so ask once.
            Providers of secrets come before that section and get what the system trusts.
        follow_secrets: For a plugin that can change secrets while it is open: give it a function that takes
            its whole configuration, in which only what refers to secrets differs. It is awaited when one
            has changed. It tries the new ones and goes over to them, without a failure of what is under
            way; or it raises ``ConfigurationError``, or an ``ArtStoreError``, and goes on with the old
            ones: then it is awaited again a little later. Who gives none is opened anew by a restart.

    """

    logger: Logger
    metrics: PluginMetrics
    client_ssl_context: Callable[[], ssl.SSLContext]
    follow_secrets: Callable[[Callable[[Any], Awaitable[None]]], None]


C = TypeVar("C", bound=PluginConfig)
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Provider(Generic[C, T_co]):
    """One type of back end that a plugin offers.

    Args:
        name: The ``type`` that selects it in the configuration.
        spec: Major version of the contract it was written for; another major is refused. It has no
            default, which would silently equal the running core's version.
        config: Its options.
        open: Returns an async context manager that yields the back end. Import SDKs in ``open``; do
            I/O on entering; fail there, not on the first request.

    """

    name: str
    spec: int
    config: type[C]
    open: Callable[[C, PluginContext], AbstractAsyncContextManager[T_co]]
