"""Hashes of people's passwords: argon2id (RFC 9106), computed in threads, few at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from artstore.core.spec import UnavailableError

T = TypeVar("T")

AT_ONCE: Final = 2
"""Each takes 64 MiB and a tenth of a second or two of several processors."""
MOST_WAITING: Final = 50
"""At once and in the queue: who comes later would wait for more than a few seconds."""


PARAMETERS: Final = RFC_9106_LOW_MEMORY
_NOBODY: Final = (
    f"$argon2id$v={PARAMETERS.version}$m={PARAMETERS.memory_cost},t={PARAMETERS.time_cost},"
    f"p={PARAMETERS.parallelism}${'A' * 22}${'A' * 43}"
)
"""A hash of no password that anybody knows, with which those of unknown names are compared."""


class PasswordHashes:
    """Makes and checks hashes with the second parameters that RFC 9106 section 4 recommends.

    A hash says with which parameters it was made: others can be chosen here at any time.
    """

    def __init__(self, *, most_waiting: int = MOST_WAITING) -> None:
        self._hasher = PasswordHasher.from_parameters(PARAMETERS)
        # Threads of their own: the others must not wait for passwords.
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")
        self._waiting = 0
        self._most_waiting = most_waiting

    async def hash(self, password: str) -> str:
        """A new hash, with a new salt.

        Raises:
            UnavailableError: too many others wait.
        """
        return await self._in_thread(lambda: self._hasher.hash(password))

    async def verify(self, password_hash: str, password: str) -> bool:
        """Whether it is the hash of ``password``. Raises what :meth:`hash` does."""
        return await self._in_thread(lambda: self._verify(password_hash, password))

    async def verify_nobody(self, password: str) -> None:
        """Take as long as :meth:`verify`."""
        await self._in_thread(lambda: self._verify(_NOBODY, password))

    async def is_former(self, hashes: list[str], password: str) -> bool:
        """Whether one of the hashes is of ``password``. Raises what :meth:`hash` does."""
        return any([await self.verify(each, password) for each in hashes])

    def is_outdated(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password_hash: str, password: str) -> bool:
        with suppress(VerificationError, InvalidHashError):
            return self._hasher.verify(password_hash, password)
        return False

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._most_waiting:
            raise UnavailableError("too many passwords are being checked; try again", retry_after=5)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
