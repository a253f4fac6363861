"""The ``secrets`` contract: named values that are never printed."""

import re
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from artstore.core.spec.errors import InvalidRequestError

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,127}")


def validate_secret_name(name: str) -> None:
    """Refuse what is not a secret's name: 1 to 128 of ``[a-z0-9-]``, starting with a letter.

    Raises:
        InvalidRequestError: it is not a valid name.
    """
    if _NAME.fullmatch(name) is None:
        raise InvalidRequestError("a secret's name is 1 to 128 of a-z, 0-9 and -, and starts with a letter")


@dataclass(frozen=True, slots=True)
class SecretValue:
    """One version of one secret. ``value`` has no repr; ``source`` says where it came from."""

    value: bytes = field(repr=False)
    version: str
    source: str

    def text(self) -> str:
        """The value as UTF-8 text without the trailing newline that editors add."""
        return self.value.decode().rstrip("\r\n")


@runtime_checkable
class SecretWriter(Protocol):
    """Ability: the provider can keep a secret that ArtStore generates at its first start."""

    @abstractmethod
    async def create(self, name: str, value: bytes) -> SecretValue:
        """Keep ``value`` under ``name``, readable by nobody else. Durable when it returns.

        Raises:
            AlreadyExistsError: the name is taken; its value is unchanged.
        """
        ...

    @abstractmethod
    async def replace(self, name: str, value: bytes) -> SecretValue:
        """Keep ``value`` under ``name``, atomically replacing what was there. Durable when it returns."""
        ...


@runtime_checkable
class SecretProvider(Protocol):
    """Looks secrets up by name. Providers form an ordered chain: the first that knows a name answers.

    A name is 1 to 128 characters of ``[a-z0-9-]`` and starts with a letter.
    """

    @property
    @abstractmethod
    def writer(self) -> SecretWriter | None:
        """The writing ability, or ``None`` where secrets are put by someone else."""
        ...

    @abstractmethod
    async def get(self, name: str) -> SecretValue | None:
        """The current version of ``name``, or ``None`` when this provider does not have it.

        Raises:
            InvalidRequestError: ``name`` is not a valid name.
            ForbiddenError: the secret is there but others could read it too; the message says how to
                close it.
            ContentTooLargeError: the value is larger than a secret may be.
            UnavailableError: the source cannot be reached.
        """
        ...
