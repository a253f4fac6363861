"""Follows the secrets an open plugin was configured with, and hands it those that took their place."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from prometheus_client import Counter

from artstore.core.cancellation import end_if_cancelled
from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError, ConfigurationError, PluginConfig, UnavailableError

LOOK_INTERVAL: Final = 5.0
"""Seconds between two looks at the chain."""

_log = get_logger("secrets")


class SecretFollower:
    """Of one plugin that is open with ``config``. What is new takes effect only when the plugin takes it.

    ``resolve`` gives the configuration with the secrets of the moment.
    """

    def __init__(
        self,
        resolve: Callable[[], Awaitable[PluginConfig]],
        config: PluginConfig,
        *,
        plugin: str,
        rotations: Counter,
    ) -> None:
        self._resolve = resolve
        self._config = config
        self._plugin = plugin
        self._rotations = rotations
        self._take: Callable[[Any], Awaitable[None]] | None = None
        self._failure: str | None = None
        self._told: str | None = None

    def hand_to(self, take: Callable[[Any], Awaitable[None]]) -> None:
        """What the plugin wants to be called with a new configuration."""
        self._take = take

    @asynccontextmanager
    async def following(self, *, interval: float) -> AsyncGenerator[None, None]:
        """Look every ``interval`` seconds as long as this is open."""
        for outcome in ("success", "failure"):
            self._rotations.labels(self._plugin, outcome)
        task = asyncio.create_task(self._follow(interval))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def check(self) -> str:
        """For the readiness: whether the plugin works with the secrets of the moment.

        Raises:
            UnavailableError: it works with those it had before.
        """
        if self._failure is not None:
            raise UnavailableError(f"works with the secrets it had before: {self._failure}")
        return "as in the secrets chain"

    async def _follow(self, interval: float) -> None:
        while True:
            end_if_cancelled()
            await asyncio.sleep(interval)
            await self._look()

    async def _look(self) -> None:
        try:
            await self._hand_over(await self._resolve())
        except (ArtStoreError, ConfigurationError) as error:
            self._keep_old(str(error))
        except Exception as error:
            # Of what a foreign plugin raises, the type alone: its text may tell the secret.
            self._keep_old(f"{type(error).__name__} while it was given the new ones")
        else:
            self._failure = self._told = None

    async def _hand_over(self, config: PluginConfig) -> None:
        if config == self._config:
            return
        if self._take is None:
            raise ConfigurationError("it takes others only when it is opened: restart this role")
        await self._take(config)
        self._config = config
        self._rotations.labels(self._plugin, "success").inc()
        _log.info("plugin_secrets_rotated", plugin=self._plugin)

    def _keep_old(self, reason: str) -> None:
        """Told once, at the second look: secrets that go together are replaced one after the other."""
        self._rotations.labels(self._plugin, "failure").inc()
        if reason == self._failure and reason != self._told:
            _log.error(
                "plugin_secrets_not_rotated", plugin=self._plugin, reason=reason, kept="those it had before"
            )
            self._told = reason
        self._failure = reason
