"""The thread of a spool."""

import asyncio
from threading import Event

import pytest

from artstore.core.audit.spool_thread import SpoolThread


async def test_work_is_done_in_order_though_whoever_waits_for_it_gives_up() -> None:
    thread, done = SpoolThread(), list[str]()
    begun, may_end = Event(), Event()

    def first() -> None:
        begun.set()
        may_end.wait()
        done.append("first")

    waiting = [asyncio.create_task(thread.run(work)) for work in (first, lambda: done.append("second"))]
    await asyncio.to_thread(begun.wait)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    may_end.set()
    await thread.run(lambda: done.append("third"))
    await thread.close()

    assert done == ["first", "second", "third"]


async def test_a_failure_is_told_to_whoever_waits_for_it_and_work_goes_on() -> None:
    thread = SpoolThread()

    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 // 0)

    assert await thread.run(lambda: "done") == "done"
    await thread.close()
