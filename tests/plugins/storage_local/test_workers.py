"""Threads that work for coroutines."""

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncGenerator

import pytest

from artstore.core.spec import UnavailableError
from artstore.plugins.storage_local.workers import Workers


@pytest.fixture
async def workers() -> AsyncGenerator[Workers, None]:
    workers = Workers(2)
    yield workers
    await workers.close()


async def test_a_call_runs_in_another_thread_and_gives_its_result(workers: Workers) -> None:
    assert await workers.submit(threading.get_ident) != threading.get_ident()


async def test_an_error_is_raised_where_the_call_is_awaited(workers: Workers) -> None:
    with pytest.raises(ZeroDivisionError):
        await workers.submit(divmod, 1, 0)


async def test_many_calls_all_come_back(workers: Workers) -> None:
    results = await asyncio.gather(*[workers.submit(abs, -number) for number in range(2000)])

    assert results == list(range(2000))


async def test_a_call_cancelled_before_its_turn_is_not_made(workers: Workers) -> None:
    gate, made = threading.Event(), list[str]()
    blocked = [workers.submit(gate.wait) for _ in range(2)]
    cancelled = workers.submit(made.append, "cancelled")

    cancelled.cancel()
    gate.set()
    await asyncio.gather(*blocked)
    await workers.submit(made.append, "later")

    assert made == ["later"]


async def test_closing_finishes_what_was_submitted() -> None:
    workers = Workers(1)
    made: list[int] = []
    for number in range(100):
        workers.submit(made.append, number)

    await workers.close()

    assert made == list(range(100))


async def test_a_call_after_the_end_fails_instead_of_waiting_for_ever() -> None:
    workers = Workers(1)
    await workers.close()

    with pytest.raises(UnavailableError):
        await workers.submit(abs, -1)


async def test_an_error_that_nobody_awaits_is_not_complained_about(workers: Workers) -> None:
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))

    failing = workers.submit(divmod, 1, 0)
    await asyncio.wait([failing])
    del failing
    gc.collect()

    assert complaints == []


class Batch:
    """Something that takes memory."""

    def size(self) -> int:
        return 1


async def test_an_idle_thread_holds_on_to_nothing(workers: Workers) -> None:
    batch = Batch()
    remembered = weakref.ref(batch)

    await workers.submit(batch.size)
    del batch

    for _ in range(500):
        if remembered() is None:
            break
        await asyncio.sleep(0.01)
    assert remembered() is None
