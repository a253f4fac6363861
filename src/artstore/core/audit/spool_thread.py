"""The thread of a spool: does what blocks, one thing after another."""

import asyncio
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


class SpoolThread:
    """An executor of one thread, without its locks and its second future for each piece of work.

    Every record that somebody waits for comes this way: with an executor, admin takes 5 % more for a token
    (measured).
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="audit-spool", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[], T]) -> T:
        """What ``work`` returns or raises. It is done even when whoever waits for it is cancelled."""
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(partial(self._run, work, done))
        return await done

    async def close(self) -> None:
        """Wait until all that is to be done has been."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _run(self, work: Callable[[], T], done: asyncio.Future[T]) -> None:
        try:
            result = work()
        except Exception as error:
            self._loop.call_soon_threadsafe(_fail, done, error)
        else:
            self._loop.call_soon_threadsafe(_succeed, done, result)


def _succeed(done: asyncio.Future[T], result: T) -> None:
    if not done.done():  # whoever waited may have been cancelled
        done.set_result(result)


def _fail(done: asyncio.Future[T], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)
