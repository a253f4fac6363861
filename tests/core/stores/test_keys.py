"""Signing keys, kept and retired."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from artstore.core.spec import AlreadyExistsError, Database
from artstore.core.stores.keys import KeysStore, SigningKey
from tests.core.stores.entries import START

HOUR = timedelta(hours=1)


@pytest.fixture
def keys(database: Database) -> KeysStore:
    return KeysStore(database)


def key(kid: str, **changes: Any) -> SigningKey:
    fields: dict[str, Any] = {
        "kid": kid,
        "algorithm": "RS256",
        "public_jwk": "{}",
        "private_key_encrypted": b"\x00\xff private",
        "created_at": START,
        "signs_from": START,
    }
    return SigningKey.model_validate({**fields, **changes})


async def test_a_key_comes_back_as_it_was_added(keys: KeysStore) -> None:
    await keys.add(key("one"))

    assert await keys.list() == [key("one")]


async def test_a_kid_is_taken_once(keys: KeysStore) -> None:
    await keys.add(key("one"))

    with pytest.raises(AlreadyExistsError):
        await keys.add(key("one"))


async def test_of_many_first_keys_one_is_added(keys: KeysStore) -> None:
    added = await asyncio.gather(*(keys.add_first(key(str(number))) for number in range(5)))

    assert sum(added) == 1
    assert len(await keys.list()) == 1


async def test_a_first_key_is_added_when_all_others_are_retired(keys: KeysStore) -> None:
    await keys.add(key("one"))
    await keys.retire("one", signs_until=START, expires_at=START + HOUR)

    assert await keys.add_first(key("two", signs_from=START + HOUR))
    assert [found.kid for found in await keys.list()] == ["two", "one"]


async def test_a_key_is_retired_once(keys: KeysStore) -> None:
    await keys.add(key("one"))

    await keys.retire("one", signs_until=START, expires_at=START + HOUR)
    await keys.retire("one", signs_until=START + HOUR, expires_at=START + 2 * HOUR)

    assert await keys.list() == [key("one", signs_until=START, expires_at=START + HOUR)]


async def test_only_expired_keys_are_forgotten(keys: KeysStore) -> None:
    for kid in ("expired", "verifying", "signing"):
        await keys.add(key(kid))
    await keys.retire("expired", signs_until=START, expires_at=START + HOUR)
    await keys.retire("verifying", signs_until=START, expires_at=START + 2 * HOUR)

    assert await keys.delete_expired(now=START + HOUR) == 1

    assert {found.kid for found in await keys.list()} == {"verifying", "signing"}


def test_no_private_key_is_printed() -> None:
    assert "private" not in repr(key("one")).replace("private_key", "")
