"""What every cache must do, as tests its author runs by overriding one fixture."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from artstore.core.spec import Cache, InvalidRequestError

LONGEST_KEY = "ключ" * 128


class CacheContract:
    """Override ``cache`` with an empty one."""

    @pytest.fixture
    def cache(self) -> Cache:
        """The cache to prove."""
        raise NotImplementedError("override this fixture")

    async def test_an_unknown_key_has_no_value(self, cache: Cache) -> None:
        assert await cache.get("never-set") is None

    @pytest.mark.parametrize("value", [b"", b"value", b"\x00\xff", b"x" * 100_000])
    async def test_a_value_is_kept_byte_for_byte(self, cache: Cache, value: bytes) -> None:
        await cache.set("key", value, ttl=60)

        assert await cache.get("key") == value

    async def test_setting_replaces(self, cache: Cache) -> None:
        await cache.set("key", b"old", ttl=60)
        await cache.set("key", b"new", ttl=60)

        assert await cache.get("key") == b"new"

    async def test_an_expired_value_is_gone(self, cache: Cache) -> None:
        await cache.set("key", b"value", ttl=0.02)

        await asyncio.sleep(0.1)

        assert await cache.get("key") is None

    async def test_setting_again_gives_a_new_time_to_live(self, cache: Cache) -> None:
        await cache.set("key", b"old", ttl=0.02)
        await cache.set("key", b"new", ttl=60)

        await asyncio.sleep(0.1)

        assert await cache.get("key") == b"new"

    async def test_a_deleted_value_is_gone(self, cache: Cache) -> None:
        await cache.set("key", b"value", ttl=60)

        await cache.delete("key")

        assert await cache.get("key") is None

    async def test_deleting_what_is_not_there_is_no_error(self, cache: Cache) -> None:
        await cache.delete("never-set")

        assert await cache.get("never-set") is None

    @pytest.mark.parametrize("key", ["k", "a b/c:d\n", LONGEST_KEY])
    async def test_a_key_is_any_text(self, cache: Cache, key: str) -> None:
        await cache.set(key, b"value", ttl=60)
        count, _ = await cache.increment(f"{key}"[:-1] + "#", window=60)

        assert await cache.get(key) == b"value"
        assert count == 1

    @pytest.mark.parametrize("key", ["", LONGEST_KEY + "!"])
    async def test_an_invalid_key_is_refused(self, cache: Cache, key: str) -> None:
        with pytest.raises(InvalidRequestError):
            await cache.get(key)
        with pytest.raises(InvalidRequestError):
            await cache.set(key, b"value", ttl=60)
        with pytest.raises(InvalidRequestError):
            await cache.delete(key)
        with pytest.raises(InvalidRequestError):
            await cache.increment(key, window=60)

    async def test_events_are_counted_per_key(self, cache: Cache) -> None:
        counts = [(await cache.increment(key, window=60))[0] for key in ("a", "a", "b", "a")]

        assert counts == [1, 2, 1, 3]

    async def test_a_window_is_fixed_by_its_first_event(self, cache: Cache) -> None:
        _, first = await cache.increment("key", window=60)
        await asyncio.sleep(0.02)
        _, second = await cache.increment("key", window=3600)

        assert 0 < second < first <= 60

    async def test_counting_starts_again_when_the_window_has_ended(self, cache: Cache) -> None:
        await cache.increment("key", window=0.02)
        await asyncio.sleep(0.1)

        count, _ = await cache.increment("key", window=60)

        assert count == 1

    async def test_counting_starts_again_after_a_deletion(self, cache: Cache) -> None:
        await cache.increment("key", window=60)
        await cache.delete("key")

        count, _ = await cache.increment("key", window=60)

        assert count == 1

    async def test_no_concurrent_event_is_lost(self, cache: Cache) -> None:
        results = await asyncio.gather(*[cache.increment("key", window=60) for _ in range(100)])

        assert sorted(count for count, _ in results) == list(range(1, 101))

    async def test_every_subscriber_gets_every_message_in_order(self, cache: Cache) -> None:
        async with subscribed(cache, "news") as first, subscribed(cache, "news") as second:
            for number in range(10):
                await cache.publish("news", f"{number}".encode())
            messages = [await first.take(10), await second.take(10)]

        assert messages == [[f"{number}".encode() for number in range(10)]] * 2

    async def test_channels_are_separate(self, cache: Cache) -> None:
        async with subscribed(cache, "news") as news, subscribed(cache, "weather") as weather:
            await cache.publish("news", b"election")
            await cache.publish("weather", b"rain")
            messages = [await news.take(1), await weather.take(1)]

        assert messages == [[b"election"], [b"rain"]]

    async def test_a_message_without_subscribers_is_nobodys(self, cache: Cache) -> None:
        await cache.publish("news", b"too early")

        async with subscribed(cache, "news") as subscription:
            await cache.publish("news", b"in time")
            messages = await subscription.take(1)

        assert messages == [b"in time"]

    async def test_a_subscriber_that_leaves_does_not_disturb_the_others(self, cache: Cache) -> None:
        async with subscribed(cache, "news") as staying:
            async with subscribed(cache, "news"):
                pass
            await cache.publish("news", b"still here")
            messages = await staying.take(1)

        assert messages == [b"still here"]


READY = b"\x00ready"
"""Sent until it arrives: how a test knows that its subscription has begun."""


@dataclass
class Subscription:
    """What a subscriber has received."""

    ready: asyncio.Event = field(default_factory=asyncio.Event)
    messages: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue[bytes])

    async def listen(self, messages: AsyncIterator[bytes]) -> None:
        """Collect messages until cancelled."""
        async for message in messages:
            if message == READY:
                self.ready.set()
            else:
                self.messages.put_nowait(message)

    async def take(self, count: int) -> list[bytes]:
        """The next ``count`` messages."""
        return [await self.messages.get() for _ in range(count)]


@asynccontextmanager
async def subscribed(cache: Cache, channel: str) -> AsyncGenerator[Subscription, None]:
    """A subscription that has begun, ended on leaving."""
    subscription = Subscription()
    listening = asyncio.create_task(subscription.listen(cache.subscribe(channel)))
    try:
        while not subscription.ready.is_set():
            await cache.publish(channel, READY)
            await asyncio.sleep(0.001)
        yield subscription
    finally:
        listening.cancel()
        await asyncio.wait([listening])
