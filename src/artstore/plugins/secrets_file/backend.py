"""Keeps secrets as files that nobody but their owner can read."""

import asyncio
from pathlib import Path

from artstore.core.spec import SecretProvider, SecretValue, SecretWriter, validate_secret_name
from artstore.plugins.secrets_file.files import create_file, read_file, replace_file


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
        validate_secret_name(name)
        return self._directory / name
