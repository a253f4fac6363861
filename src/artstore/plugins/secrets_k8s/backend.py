"""Looks secrets up in a volume that the kubelet fills, and replaces as a whole by one change of a link."""

import asyncio
import os
import stat
from pathlib import Path
from typing import Final

from artstore.core.spec import (
    ContentTooLargeError,
    ForbiddenError,
    SecretProvider,
    SecretValue,
    SecretWriter,
    UnavailableError,
    validate_secret_name,
)

LARGEST_SECRET: Final = 1024 * 1024
"""Bytes; a Secret of Kubernetes has no more in total."""
CURRENT: Final = "..data"
"""The link to the directory with the present version of all secrets."""
ATTEMPTS: Final = 3
"""A version may go while it is read; so quickly again it does not."""


class MountedSecrets(SecretProvider):
    """One file per secret, named like it. Nothing is kept: every look finds what is there now."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def writer(self) -> SecretWriter | None:
        return None

    async def get(self, name: str) -> SecretValue | None:
        # No dot and no slash passes, so a secret never lies outside.
        validate_secret_name(name)
        return await asyncio.to_thread(_read, self._directory, name)


def _read(directory: Path, name: str) -> SecretValue | None:
    """The secret in the version that is current when it is read."""
    try:
        for _ in range(ATTEMPTS):
            version = _version(directory)
            path = directory / (version or "") / name
            try:
                return _read_file(path, version or "unversioned")
            except FileNotFoundError:
                if _version(directory) == version:
                    return None
    except OSError as error:
        raise UnavailableError(f"the mounted secret {name} cannot be read: {error.strerror}") from error
    raise UnavailableError(f"the volume {directory} changes faster than it can be read")


def _version(directory: Path) -> str | None:
    """What the kubelet calls the present version; ``None`` in a volume without versions (``subPath``)."""
    try:
        return os.readlink(directory / CURRENT)
    except FileNotFoundError:
        return None


def _read_file(path: Path, version: str) -> SecretValue:
    with open(path, "rb", opener=_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ForbiddenError(f"{path} is not a regular file; put the secret in one")
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ForbiddenError(f"others can change the secret in {path}; set defaultMode to 0440 or less")
        value = file.read(LARGEST_SECRET + 1)
    if len(value) > LARGEST_SECRET:
        raise ContentTooLargeError(limit=LARGEST_SECRET, what=f"the secret {path.name}")
    return SecretValue(value, version=f"{version}-{status.st_mtime_ns:x}", source=f"mounted file {path}")


def _without_waiting(path: str, flags: int) -> int:
    """Opening a pipe must not wait for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)
