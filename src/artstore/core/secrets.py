"""The secrets chain: ordered providers, the first that knows a name answers."""

import secrets as randomness
from collections.abc import Sequence
from typing import Any, Final, TypeGuard

from artstore.core.config import PluginSection
from artstore.core.spec import (
    AlreadyExistsError,
    ConfigurationError,
    NotFoundError,
    SecretProvider,
    SecretValue,
    SecretWriter,
    UnsupportedError,
)

REFERENCE: Final = {"secret"}
"""The only key of a table that stands for a secret."""


class SecretsChain:
    """Looks a name up in each provider in turn."""

    def __init__(self, providers: Sequence[SecretProvider] = ()) -> None:
        self._providers = providers

    async def get(self, name: str) -> SecretValue | None:
        """The current version of ``name``, or ``None`` when no provider has it."""
        for provider in self._providers:
            if (value := await provider.get(name)) is not None:
                return value
        return None

    async def require(self, name: str) -> SecretValue:
        """The current version of ``name``.

        Raises:
            ConfigurationError: no provider has it.
        """
        value = await self.get(name)
        if value is None:
            raise ConfigurationError(f"secret {name!r} is not in any of the configured secret providers")
        return value

    async def require_bytes(self, name: str) -> bytes:
        """The value of :meth:`require`, as it was kept."""
        return (await self.require(name)).value

    async def get_or_create(self, name: str, value: bytes | None = None) -> SecretValue:
        """The current version of ``name``; at the first start, ``value`` or 256 random bits kept under it.

        Raises:
            ConfigurationError: it is absent and no provider can keep it.
        """
        if (known := await self.get(name)) is not None:
            return known
        try:
            return await self.writer(name).create(name, value or randomness.token_hex(32).encode())
        except AlreadyExistsError:  # another process was first
            return await self.require(name)

    def writer(self, name: str) -> SecretWriter:
        """The first provider that can keep secrets.

        Raises:
            ConfigurationError: none can; the message names ``name`` as the one to provide.
        """
        for provider in self._providers:
            if provider.writer is not None:
                return provider.writer
        raise ConfigurationError(f"no secret provider can keep secrets: provide secret {name!r} yourself")

    async def replace(self, name: str, value: bytes) -> SecretValue:
        """Keep ``value`` in place of what is there, with the provider that has ``name``.

        Raises:
            NotFoundError: no provider has it.
            UnsupportedError: the one that has it cannot write.
        """
        for provider in self._providers:
            if (known := await provider.get(name)) is not None:
                if provider.writer is None:
                    raise UnsupportedError(
                        f"secret {name} comes from {known.source}, which cannot be written: change it there"
                    )
                return await provider.writer.replace(name, value)
        raise NotFoundError(f"no secret provider has the secret {name}")

    async def resolve_section(self, section: PluginSection) -> PluginSection:
        """``section`` with every ``{secret = "name"}`` replaced by that secret's text."""
        return PluginSection.model_validate({"type": section.type, **await self._resolve(section.options)})

    async def _resolve(self, value: Any) -> Any:
        if _is_table(value):
            if value.keys() == REFERENCE:
                return (await self.require(value["secret"])).text()
            return {key: await self._resolve(item) for key, item in value.items()}
        if _is_list(value):
            return [await self._resolve(item) for item in value]
        return value


def refers_to_secrets(value: object) -> bool:
    """Whether there is a ``{secret = "name"}`` anywhere in ``value``."""
    if _is_table(value):
        return value.keys() == REFERENCE or any(map(refers_to_secrets, value.values()))
    return _is_list(value) and any(map(refers_to_secrets, value))


def _is_table(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
