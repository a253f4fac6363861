"""Signing keys, kept and retired."""

import asyncio
from datetime import datetime, timedelta
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


async def rotate(keys: KeysStore, new: SigningKey, *, now: datetime = START) -> SigningKey:
    return await keys.rotate(new, now=now, verifies_for=HOUR)


async def test_a_key_comes_back_as_it_was_added(keys: KeysStore) -> None:
    assert await keys.add_first(key("one"))

    assert await keys.list() == [key("one")]


async def test_of_many_first_keys_one_is_added(keys: KeysStore) -> None:
    added = await asyncio.gather(*(keys.add_first(key(str(number))) for number in range(5)))

    assert sum(added) == 1
    assert len(await keys.list()) == 1


async def test_a_rotation_ends_what_signed_and_lets_it_verify_for_a_while(keys: KeysStore) -> None:
    await keys.add_first(key("one"))
    next_key = key("two", signs_from=START + HOUR)

    assert await rotate(keys, next_key) == next_key

    retired = key("one", signs_until=START + HOUR, expires_at=START + 2 * HOUR)
    assert await keys.list() == [next_key, retired]


async def test_of_many_rotations_at_once_one_is_made(keys: KeysStore) -> None:
    await keys.add_first(key("one"))

    made = await asyncio.gather(
        *(rotate(keys, key(f"next-{number}", signs_from=START + HOUR)) for number in range(5))
    )

    assert len({each.kid for each in made}) == 1
    assert [found.kid for found in await keys.list()] == [made[0].kid, "one"]


async def test_a_key_that_has_signed_does_not_sign_again(keys: KeysStore) -> None:
    await keys.add_first(key("one"))
    await rotate(keys, key("two", signs_from=START + HOUR))

    with pytest.raises(AlreadyExistsError):
        await rotate(keys, key("one", signs_from=START + 3 * HOUR), now=START + 2 * HOUR)

    newest, _ = await keys.list()
    assert (newest.kid, newest.signs_until) == ("two", None)


async def test_of_an_expired_key_the_private_half_goes_first_and_all_of_it_later(keys: KeysStore) -> None:
    await keys.add_first(key("one"))
    await rotate(keys, key("two", signs_from=START + HOUR))
    expired = START + 2 * HOUR

    await keys.forget(now=expired - HOUR / 2, history=HOUR)
    verifying = await keys.list()
    await keys.forget(now=expired, history=HOUR)
    remembered = await keys.list()
    await keys.forget(now=expired + HOUR, history=HOUR)
    forgotten = await keys.list()

    assert [each.private_key_encrypted for each in verifying] == [b"\x00\xff private"] * 2
    assert [each.private_key_encrypted for each in remembered] == [b"\x00\xff private", b""]
    assert [each.kid for each in forgotten] == ["two"]


def test_no_private_key_is_printed() -> None:
    assert "private" not in repr(key("one")).replace("private_key", "")
