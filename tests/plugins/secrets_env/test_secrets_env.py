"""Secrets from the environment prove their contract."""

import os

import pytest
from pydantic import ValidationError

from artstore.core.spec import SecretProvider
from artstore.core.testing import PutSecret, SecretsContract, plugin_context
from artstore.plugins.secrets_env.backend import EnvironmentSecrets
from artstore.plugins.secrets_env.plugin import EnvironmentConfig, artstore_secret_providers


class TestEnvironmentSecrets(SecretsContract):
    @pytest.fixture
    def secrets(self) -> SecretProvider:
        return EnvironmentSecrets("ARTSTORE_SECRET_")

    @pytest.fixture
    def put_secret(self, monkeypatch: pytest.MonkeyPatch) -> PutSecret:
        async def put(name: str, value: bytes) -> None:
            variable = f"ARTSTORE_SECRET_{name.upper().replace('-', '_')}"
            monkeypatch.setenv(variable, os.fsdecode(value))

        return put

    async def test_the_variable_is_named_as_the_source(
        self, secrets: SecretProvider, put_secret: PutSecret
    ) -> None:
        await put_secret("client-ingester", b"swordfish")

        found = await secrets.get("client-ingester")

        assert found is not None
        assert found.source == "environment variable ARTSTORE_SECRET_CLIENT_INGESTER"

    async def test_an_empty_variable_is_not_set(self, secrets: SecretProvider, put_secret: PutSecret) -> None:
        await put_secret("pepper", b"")

        assert await secrets.get("pepper") is None

    async def test_variables_without_the_prefix_are_not_read(
        self, secrets: SecretProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PEPPER", "swordfish")

        assert await secrets.get("pepper") is None


async def test_it_is_opened_with_the_configured_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    [provider] = artstore_secret_providers()
    monkeypatch.setenv("MY_PEPPER", "swordfish")

    async with provider.open(EnvironmentConfig(prefix="MY_"), plugin_context("secrets_env")) as secrets:
        found = await secrets.get("pepper")

    assert (provider.name, provider.spec) == ("env", 1)
    assert found is not None
    assert found.text() == "swordfish"


@pytest.mark.parametrize("prefix", ["", "lower_", "1_", "A-B", "A=B"])
def test_a_prefix_that_no_variable_can_have_is_refused(prefix: str) -> None:
    with pytest.raises(ValidationError):
        EnvironmentConfig(prefix=prefix)
