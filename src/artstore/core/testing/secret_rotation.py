"""What a plugin must do whose secrets may change while it is open, as tests its author runs."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from artstore.core.spec import ArtStoreError, ConfigurationError, PluginConfig, PluginContext
from artstore.core.testing.context import TakeSecrets, plugin_context


@dataclass(frozen=True, slots=True)
class SecretRotation:
    """A plugin, and what its operator does. Until ``withdraw``, the secrets of ``first`` are good, too.

    Args:
        plugin: Its name (``storage_s3``).
        open: As in its ``Provider``.
        first: What it is opened with.
        second: The same, with other secrets.
        wrong: The same, with secrets that are good for nothing.
        withdraw: Makes the secrets of ``first`` good for nothing.
        use: Has the back end do something that needs its secrets, and raises if it cannot.

    """

    plugin: str
    open: Callable[[Any, PluginContext], AbstractAsyncContextManager[Any]]
    first: PluginConfig
    second: PluginConfig
    wrong: PluginConfig
    withdraw: Callable[[], Awaitable[None]]
    use: Callable[[Any], Awaitable[object]]


class SecretRotationContract:
    """For plugins that call ``PluginContext.follow_secrets``. Override ``rotation``."""

    @pytest.fixture
    def rotation(self) -> SecretRotation:
        """The plugin to prove."""
        raise NotImplementedError("override this fixture")

    async def test_new_secrets_are_used_as_soon_as_they_are_taken(self, rotation: SecretRotation) -> None:
        async with _opened(rotation) as (backend, take):
            await take(rotation.second)
            await rotation.withdraw()

            await rotation.use(backend)
            with pytest.raises((ArtStoreError, ConfigurationError)):
                await take(rotation.first)

    async def test_wrong_secrets_are_refused_and_change_nothing(self, rotation: SecretRotation) -> None:
        async with _opened(rotation) as (backend, take):
            with pytest.raises((ArtStoreError, ConfigurationError)) as refused:
                await take(rotation.wrong)

            await rotation.use(backend)
            await take(rotation.second)
        for secret in _secrets(rotation.wrong):
            assert secret not in str(refused.value)

    async def test_nothing_fails_while_secrets_are_changed(self, rotation: SecretRotation) -> None:
        async with _opened(rotation) as (backend, take):
            used = asyncio.Semaphore(0)

            async def use_on_and_on() -> None:
                while True:
                    await rotation.use(backend)
                    used.release()
                    await asyncio.sleep(0)

            async with asyncio.TaskGroup() as working:
                tasks = [working.create_task(use_on_and_on()) for _ in range(4)]
                for config in (rotation.second, rotation.first, rotation.second):
                    await take(config)
                    for _ in tasks:
                        await used.acquire()
                for task in tasks:
                    task.cancel()


@asynccontextmanager
async def _opened(rotation: SecretRotation) -> AsyncGenerator[tuple[Any, TakeSecrets], None]:
    given: list[TakeSecrets] = []
    context = plugin_context(rotation.plugin, follow_secrets=given.append)
    async with rotation.open(rotation.first, context) as backend:
        assert len(given) == 1, "call context.follow_secrets once, before the back end is given"
        yield backend, given[0]


def _secrets(config: PluginConfig) -> list[str]:
    return [value.get_secret_value() for _, value in config if isinstance(value, SecretStr)]
