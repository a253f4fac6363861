"""The cache in memory proves its contract, and never grows beyond its bounds."""

import asyncio
import tracemalloc
from collections.abc import Callable, Generator
from contextlib import aclosing, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from artstore.core.spec import Cache
from artstore.core.testing import CacheContract, plugin_context
from artstore.plugins.cache_memory.backend import SUBSCRIBER_BACKLOG, MemoryCache
from artstore.plugins.cache_memory.entries import ExpiringEntries
from artstore.plugins.cache_memory.plugin import MemoryCacheConfig, artstore_cache_providers
from tests.clock import Clock

DROPPED = "artstore_plugin_cache_memory_messages_dropped_total"


def memory_cache(*, max_entries: int = 10, clock: Clock | None = None) -> MemoryCache:
    return MemoryCache(plugin_context("cache_memory"), max_entries=max_entries, clock=clock or Clock())


@contextmanager
def traced_memory() -> Generator[Callable[[], int], None, None]:
    """Gives a function that tells how many bytes more are allocated than on entering."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield lambda: tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


class TestMemoryCache(CacheContract):
    @pytest.fixture
    def cache(self) -> Cache:
        return MemoryCache(plugin_context("cache_memory"), max_entries=1000)


class TestBounds:
    async def test_the_oldest_value_makes_room(self) -> None:
        cache = memory_cache(max_entries=2)

        for key in ("a", "b", "c"):
            await cache.set(key, b"value", ttl=60)

        assert [await cache.get(key) for key in ("a", "b", "c")] == [None, b"value", b"value"]

    async def test_an_expired_value_makes_room_before_the_oldest(self) -> None:
        clock = Clock()
        cache = memory_cache(max_entries=2, clock=clock)
        await cache.set("old", b"value", ttl=60)
        await cache.set("short", b"value", ttl=1)

        clock.now = 2
        await cache.set("new", b"value", ttl=60)

        assert [await cache.get(key) for key in ("old", "short", "new")] == [b"value", None, b"value"]

    async def test_a_value_that_was_set_again_is_the_youngest(self) -> None:
        cache = memory_cache(max_entries=2)

        for key in ("a", "b", "a", "c"):
            await cache.set(key, b"value", ttl=60)

        assert [await cache.get(key) for key in ("a", "b", "c")] == [b"value", None, b"value"]

    async def test_a_value_that_was_set_again_outlives_its_first_deadline(self) -> None:
        clock = Clock()
        cache = memory_cache(max_entries=2, clock=clock)
        await cache.set("old", b"value", ttl=60)
        await cache.set("again", b"value", ttl=1)
        await cache.set("again", b"value", ttl=60)

        clock.now = 2
        await cache.set("new", b"value", ttl=60)

        assert [await cache.get(key) for key in ("old", "again", "new")] == [None, b"value", b"value"]

    async def test_counters_are_bounded_like_values(self) -> None:
        cache = memory_cache(max_entries=2)

        for key in ("a", "b", "c"):
            await cache.increment(key, window=60)

        assert [(await cache.increment(key, window=60))[0] for key in ("b", "c", "a")] == [2, 2, 1]

    async def test_a_flood_of_values_does_not_reset_a_counter(self) -> None:
        cache = memory_cache(max_entries=2)
        await cache.increment("client", window=60)

        for number in range(100):
            await cache.set(f"{number}", b"value", ttl=60)

        assert (await cache.increment("client", window=60))[0] == 2

    async def test_a_value_expires_exactly_after_its_time_to_live(self) -> None:
        clock = Clock()
        cache = memory_cache(clock=clock)
        await cache.set("key", b"value", ttl=10)

        clock.now = 9.999
        before = await cache.get("key")
        clock.now = 10
        after = await cache.get("key")

        assert (before, after) == (b"value", None)

    async def test_a_window_counts_down(self) -> None:
        clock = Clock()
        cache = memory_cache(clock=clock)
        await cache.increment("key", window=10)

        clock.now = 4
        within = await cache.increment("key", window=10)
        clock.now = 10
        afterwards = await cache.increment("key", window=10)

        assert (within, afterwards) == ((2, 6), (1, 10))


class TestExpiringEntries:
    @given(
        st.integers(1, 5),
        st.lists(st.tuples(st.integers(0, 8), st.floats(0, 10), st.floats(0, 5)), max_size=60),
    )
    def test_it_never_forgets_a_living_entry_while_a_dead_one_or_room_is_left(
        self, capacity: int, puts: list[tuple[int, float, float]]
    ) -> None:
        clock = Clock()
        entries: ExpiringEntries[int] = ExpiringEntries(capacity, clock)
        model: dict[str, float] = {}

        for number, ttl, pause in puts:
            key = f"{number}"
            model.pop(key, None)
            model[key] = clock.now + ttl
            entries.put(key, number, ttl=ttl)
            if len(model) > capacity:
                expired = [other for other in model if model[other] <= clock.now]
                del model[
                    min(expired, key=lambda other: (model[other], other)) if expired else next(iter(model))
                ]
            clock.now += pause

            living = {other for other in model if model[other] > clock.now}
            assert {f"{n}" for n in range(9) if entries.get(f"{n}") is not None} == living
            model = {other: deadline for other, deadline in model.items() if other in living}

    def test_setting_one_key_over_and_over_takes_no_more_memory(self) -> None:
        entries: ExpiringEntries[int] = ExpiringEntries(10, Clock())

        with traced_memory() as growth:
            for number in range(20_000):
                entries.put("key", number, ttl=3600)

            assert len(entries) == 1
            assert growth() < 50_000


class TestSubscribers:
    async def test_a_slow_subscriber_loses_its_oldest_messages_and_that_is_counted(self) -> None:
        registry = CollectorRegistry()
        cache = MemoryCache(plugin_context("cache_memory", registry), max_entries=10)
        async with aclosing(cache.subscribe("news")) as messages:
            waiting = asyncio.create_task(anext(messages))
            await asyncio.sleep(0)
            await cache.publish("news", b"taken")
            await waiting

            for number in range(SUBSCRIBER_BACKLOG + 3):
                await cache.publish("news", f"{number}".encode())

            assert await anext(messages) == b"3"
        assert registry.get_sample_value(DROPPED) == 3

    async def test_a_slow_subscriber_does_not_cost_others_a_message(self) -> None:
        registry = CollectorRegistry()
        cache = MemoryCache(plugin_context("cache_memory", registry), max_entries=10)
        async with aclosing(cache.subscribe("news")) as slow, aclosing(cache.subscribe("news")) as quick:
            first = [asyncio.create_task(anext(messages)) for messages in (slow, quick)]
            await asyncio.sleep(0)
            await cache.publish("news", b"first")
            await asyncio.gather(*first)

            received: list[bytes] = []
            for number in range(SUBSCRIBER_BACKLOG + 3):
                await cache.publish("news", f"{number}".encode())
                received.append(await anext(quick))

        assert received == [f"{number}".encode() for number in range(SUBSCRIBER_BACKLOG + 3)]

    async def test_messages_for_a_subscriber_that_left_are_not_kept(self) -> None:
        registry = CollectorRegistry()
        cache = MemoryCache(plugin_context("cache_memory", registry), max_entries=10)
        async with aclosing(cache.subscribe("news")) as messages:
            waiting = asyncio.create_task(anext(messages))
            await asyncio.sleep(0)
            await cache.publish("news", b"taken")
            await waiting

        for _ in range(SUBSCRIBER_BACKLOG + 3):
            await cache.publish("news", b"for nobody")

        assert registry.get_sample_value(DROPPED) == 0

    async def test_channels_without_subscribers_take_no_memory(self) -> None:
        cache = memory_cache()

        with traced_memory() as growth:
            for number in range(2000):
                async with aclosing(cache.subscribe(f"channel-{number}")) as messages:
                    waiting = asyncio.create_task(anext(messages))
                    await asyncio.sleep(0)
                    await cache.publish(f"channel-{number}", b"message")
                    await waiting

            assert growth() < 100_000


async def test_it_is_opened_with_the_configured_bound() -> None:
    [provider] = artstore_cache_providers()
    config = MemoryCacheConfig(max_entries=1)

    async with provider.open(config, plugin_context("cache_memory")) as cache:
        await cache.set("a", b"value", ttl=60)
        await cache.set("b", b"value", ttl=60)

        values = [await cache.get("a"), await cache.get("b")]

    assert (provider.name, provider.spec) == ("memory", 1)
    assert values == [None, b"value"]


def test_a_cache_without_room_is_refused() -> None:
    with pytest.raises(ValidationError):
        MemoryCacheConfig(max_entries=0)
