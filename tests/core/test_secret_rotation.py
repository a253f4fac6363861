"""Secrets that change while a plugin is open, read from files that are replaced."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from artstore.core.metrics import Metrics
from artstore.core.secret_rotation import SecretFollower
from artstore.core.secrets import SecretsChain
from artstore.core.spec import ConfigurationError, PluginConfig, UnavailableError
from artstore.plugins.secrets_file.backend import FileSecrets

INTERVAL = 0.01


class Config(PluginConfig):
    password: SecretStr


class Plugin:
    """Takes passwords that begin with ``good``; stumbles over those that begin with ``odd``."""

    def __init__(self) -> None:
        self.password = "good-first"

    async def take(self, config: Config) -> None:
        password = config.password.get_secret_value()
        if password.startswith("odd"):
            raise RuntimeError(f"cannot parse {password}")
        if not password.startswith("good"):
            raise ConfigurationError("the server refuses the password")
        self.password = password


class Rotation:
    """A plugin whose password is followed."""

    def __init__(self, directory: Path) -> None:
        self.plugin = Plugin()
        self._files = FileSecrets(directory)
        self._metrics = Metrics(role="test")
        self._chain = SecretsChain([self._files])
        self.follower = SecretFollower(
            self._config,
            Config(password=SecretStr(self.plugin.password)),
            plugin="cache_test",
            rotations=self._metrics.secret_rotations,
        )

    async def _config(self) -> Config:
        return Config(password=SecretStr((await self._chain.require("password")).text()))

    async def replace(self, password: str) -> None:
        await self._files.replace("password", password.encode())

    def counted(self, outcome: str) -> float:
        labels = {"plugin": "cache_test", "outcome": outcome}
        return self._metrics.registry.get_sample_value("artstore_secret_rotations_total", labels) or 0


@asynccontextmanager
async def followed(directory: Path, *, takes: bool = True) -> AsyncGenerator[Rotation, None]:
    rotation = Rotation(directory)
    await rotation.replace("good-first")
    if takes:
        rotation.follower.hand_to(rotation.plugin.take)
    async with rotation.follower.following(interval=INTERVAL):
        yield rotation


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not claim():  # noqa: ASYNC110 - what is waited for is counted in a metric
            await asyncio.sleep(INTERVAL)


async def test_a_secret_that_is_replaced_is_handed_over(tmp_path: Path) -> None:
    async with followed(tmp_path) as rotation:
        with capture_logs() as logs:
            await rotation.replace("good-second")
            await until(lambda: rotation.counted("success") == 1)

        assert rotation.plugin.password == "good-second"
        assert await rotation.follower.check() == "as in the secrets chain"
        assert [line["event"] for line in logs] == ["plugin_secrets_rotated"]


async def test_a_secret_that_is_refused_is_told_once_and_tried_again(tmp_path: Path) -> None:
    async with followed(tmp_path) as rotation:
        with capture_logs() as logs:
            await rotation.replace("bad")
            await until(lambda: rotation.counted("failure") > 4)

        assert rotation.plugin.password == "good-first"
        assert [(line["event"], line["reason"]) for line in logs] == [
            ("plugin_secrets_not_rotated", "the server refuses the password")
        ]
        with pytest.raises(UnavailableError, match="works with the secrets it had before: the server"):
            await rotation.follower.check()

        await rotation.replace("good-third")
        await until(lambda: rotation.plugin.password == "good-third")
        assert await rotation.follower.check()


async def test_a_secret_that_went_away_leaves_the_plugin_with_the_one_it_has(tmp_path: Path) -> None:
    async with followed(tmp_path) as rotation:
        (tmp_path / "password").unlink()
        await until(lambda: rotation.counted("failure") > 0)

        with pytest.raises(UnavailableError, match="secret 'password' is not in any"):
            await rotation.follower.check()
        assert rotation.plugin.password == "good-first"


async def test_what_a_foreign_plugin_stumbles_over_is_not_told(tmp_path: Path) -> None:
    async with followed(tmp_path) as rotation:
        with capture_logs() as logs:
            await rotation.replace("odd-and-secret")
            await until(lambda: rotation.counted("failure") > 2)

        with pytest.raises(UnavailableError, match="RuntimeError while it was given the new ones"):
            await rotation.follower.check()
        assert "odd-and-secret" not in str(logs)


async def test_of_a_plugin_that_takes_none_the_operator_learns_to_restart(tmp_path: Path) -> None:
    async with followed(tmp_path, takes=False) as rotation:
        await rotation.replace("good-second")
        await until(lambda: rotation.counted("failure") > 0)

        with pytest.raises(UnavailableError, match="only when it is opened: restart this role"):
            await rotation.follower.check()
