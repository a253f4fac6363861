"""Requests that are being answered, so that a stop can wait for them."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager


class RunningRequests:
    """Counts the requests of one application."""

    def __init__(self) -> None:
        self.number = 0
        self._none = asyncio.Event()
        self._none.set()

    @contextmanager
    def one(self) -> Generator[None, None, None]:
        """One more request runs inside this context."""
        self.number += 1
        self._none.clear()
        try:
            yield
        finally:
            self.number -= 1
            if self.number == 0:
                self._none.set()

    async def wait_for_end(self) -> None:
        """Until no request runs."""
        await self._none.wait()
