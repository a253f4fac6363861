"""Keeps secrets as files that nobody but their owner can read."""

import asyncio
import re
from pathlib import Path
from typing import Final

from artstore.core.spec import InvalidRequestError, SecretProvider, SecretValue, SecretWriter
from artstore.plugins.secrets_file.files import create_file, read_file, replace_file

SECRET_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,127}")


class FileSecrets(SecretProvider, SecretWriter):
    """One file per secret, named like it, in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def writer(self) -> SecretWriter | None:
        return self

    async def get(self, name: str) -> SecretValue | None:
        return await asyncio.to_thread(read_file, self._path(name))

    async def create(self, name: str, value: bytes) -> SecretValue:
        return await asyncio.to_thread(create_file, self._path(name), value)

    async def replace(self, name: str, value: bytes) -> SecretValue:
        return await asyncio.to_thread(replace_file, self._path(name), value)

    def _path(self, name: str) -> Path:
        # No dot and no slash passes, so a secret never lies outside, nor is a file that is being written.
        if SECRET_NAME.fullmatch(name) is None:
            raise InvalidRequestError(
                "a secret's name is 1 to 128 of a-z, 0-9 and -, and starts with a letter"
            )
        return self._directory / name
