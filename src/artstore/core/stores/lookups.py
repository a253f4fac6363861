"""Looks up at once what several ask for."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from contextvars import Context
from itertools import islice
from typing import Final, Generic, TypeVar

LARGEST: Final = 100
"""Keys of one lookup."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lookups(Generic[K, V]):
    """What is asked for while a lookup is under way goes together into the next.

    So nobody is answered with what was read before they asked. ``find`` gives a value for each key that has
    one.
    """

    def __init__(self, find: Callable[[Collection[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._find = find
        self._asked: dict[K, list[asyncio.Future[V | None]]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """The value of ``key``. Raises what ``find`` raises."""
        answer: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._asked.setdefault(key, []).append(answer)
        if self._looking is None:
            # In no request's context: it is for others as well.
            self._looking = asyncio.create_task(self._look(), context=Context())
        return await answer

    async def _look(self) -> None:
        try:
            while self._asked:
                keys = list(islice(self._asked, LARGEST))
                await self._answer({key: self._asked.pop(key) for key in keys})
        finally:
            self._looking = None

    async def _answer(self, asked: Mapping[K, Collection[asyncio.Future[V | None]]]) -> None:
        found: Mapping[K, V] = {}
        failure: Exception | None = None
        try:
            found = await self._find(asked.keys())
        except Exception as error:
            failure = error
        for key, answers in asked.items():
            for answer in answers:
                if answer.done():  # whoever asked was cancelled
                    continue
                if failure is None:
                    answer.set_result(found.get(key))
                else:
                    answer.set_exception(failure)
