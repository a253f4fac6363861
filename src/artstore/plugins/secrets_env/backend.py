"""Looks secrets up in the environment of this process."""

import os

from artstore.core.spec import SecretProvider, SecretValue, SecretWriter, validate_secret_name


class EnvironmentSecrets(SecretProvider):
    """The secret ``pepper`` is the variable ``<prefix>PEPPER``; dashes become underscores."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    @property
    def writer(self) -> SecretWriter | None:
        return None

    async def get(self, name: str) -> SecretValue | None:
        variable = self._variable(name)
        value = os.environ.get(variable)
        # An empty variable is how compose files and unit files say "not set"; an empty secret would
        # moreover hide the real one from the providers after this one.
        if not value:
            return None
        # A process keeps the environment it was started with, so its values have one version.
        return SecretValue(
            value=os.fsencode(value),
            version=f"process-{os.getpid()}",
            source=f"environment variable {variable}",
        )

    def _variable(self, name: str) -> str:
        validate_secret_name(name)
        return self._prefix + name.upper().replace("-", "_")
