"""The contract for secrets that change notices plugins that believe, forget or stumble."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from artstore.core.spec import ConfigurationError, PluginConfig, PluginContext
from artstore.core.testing import SecretRotation, SecretRotationContract


class Config(PluginConfig):
    password: SecretStr


class Server:
    """Lets in who has one of its passwords."""

    def __init__(self) -> None:
        self.passwords = {"first", "second"}

    async def call(self, config: Config) -> None:
        if config.password.get_secret_value() not in self.passwords:
            raise ConfigurationError("the password is wrong")


class Client:
    """Proves what it is given, and uses it from then on."""

    def __init__(self, server: Server, config: Config) -> None:
        self.server = server
        self.config = config

    async def take(self, config: Config) -> None:
        await self.server.call(config)
        self.config = config


class Believer(Client):
    async def take(self, config: Config) -> None:
        self.config = config


class Forgetful(Client):
    async def take(self, config: Config) -> None:
        await self.server.call(config)


class Talkative(Client):
    async def take(self, config: Config) -> None:
        try:
            await super().take(config)
        except ConfigurationError:
            raise ConfigurationError(f"{config.password.get_secret_value()} is wrong") from None


class Interrupting(Client):
    """Is without a password while it tries one."""

    async def take(self, config: Config) -> None:
        self.config = Config(password=SecretStr(""))
        await asyncio.sleep(0.01)
        await super().take(config)


Check = Callable[[SecretRotation], Awaitable[None]]
CONTRACT = SecretRotationContract()


def rotation(kind: type[Client]) -> SecretRotation:
    server = Server()

    @asynccontextmanager
    async def opened(config: Config, context: PluginContext) -> AsyncGenerator[Client, None]:
        client = kind(server, config)
        context.follow_secrets(client.take)
        yield client

    async def withdraw() -> None:
        server.passwords.remove("first")

    first, second, wrong = (Config(password=SecretStr(text)) for text in ("first", "second", "wr0ng"))
    return SecretRotation(
        plugin="cache_test",
        open=opened,
        first=first,
        second=second,
        wrong=wrong,
        withdraw=withdraw,
        use=lambda client: server.call(client.config),
    )


class TestHonestClient(SecretRotationContract):
    @pytest.fixture
    def rotation(self) -> SecretRotation:
        return rotation(Client)


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (Believer, CONTRACT.test_wrong_secrets_are_refused_and_change_nothing),
        (Talkative, CONTRACT.test_wrong_secrets_are_refused_and_change_nothing),
        (Interrupting, CONTRACT.test_nothing_fails_while_secrets_are_changed),
        (Forgetful, CONTRACT.test_new_secrets_are_used_as_soon_as_they_are_taken),
    ],
)
async def test_a_careless_plugin_fails(kind: type[Client], check: Check) -> None:
    with pytest.raises((AssertionError, ConfigurationError, ExceptionGroup, pytest.fail.Exception)):
        await check(rotation(kind))
