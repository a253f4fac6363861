"""Hashes of passwords: slow on purpose, few at a time, and made anew when the parameters change."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
from argon2 import PasswordHasher

from artstore.core.spec import UnavailableError
from artstore.services.admin.password_hashes import PasswordHashes


@pytest.fixture
def hashes() -> Iterator[PasswordHashes]:
    hashes = PasswordHashes(most_waiting=3)
    yield hashes
    hashes.close()


async def test_a_hash_is_argon2id_with_the_parameters_of_rfc_9106_and_a_salt_of_its_own(
    hashes: PasswordHashes,
) -> None:
    first, second = await hashes.hash("password"), await hashes.hash("password")

    assert first.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert first != second
    assert await hashes.verify(first, "password")
    assert not await hashes.verify(first, "Password")


async def test_what_is_no_hash_is_of_no_password(hashes: PasswordHashes) -> None:
    assert not await hashes.verify("", "")
    assert not await hashes.verify("$2b$12$abcdefghijklmnopqrstuv", "password")


async def test_comparing_with_nobody_takes_as_long(hashes: PasswordHashes) -> None:
    password_hash = await hashes.hash("password")

    async def fastest(work: Callable[[], Awaitable[object]]) -> float:
        times: list[float] = []
        for _ in range(4):
            started = time.process_time()
            await work()
            times.append(time.process_time() - started)
        return min(times)

    somebody = await fastest(lambda: hashes.verify(password_hash, "wrong"))
    nobody = await fastest(lambda: hashes.verify_nobody("wrong"))

    assert 0.6 < nobody / somebody < 1.6


async def test_a_hash_of_other_parameters_is_told(hashes: PasswordHashes) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("password")

    assert hashes.is_outdated(weak)
    assert await hashes.verify(weak, "password")
    assert not hashes.is_outdated(await hashes.hash("password"))


async def test_whoever_would_wait_too_long_is_told_to_come_back(hashes: PasswordHashes) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("password")

    results = await asyncio.gather(
        *(hashes.verify(weak, "password") for _ in range(5)), return_exceptions=True
    )

    assert results[:3] == [True] * 3
    assert [type(result) for result in results[3:]] == [UnavailableError] * 2
    assert await hashes.verify(weak, "password")
