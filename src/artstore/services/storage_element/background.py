"""One piece of work at a time, beside what is served."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Background:
    """Runs a coroutine until it ends or is stopped. It handles its own failures."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        """Held by whoever begins or stops the work."""
        self._task: asyncio.Task[None] | None = None

    @property
    def is_busy(self) -> bool:
        return self._task is not None and not self._task.done()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.create_task(work)

    async def stop(self) -> bool:
        """Cancel the work, if any, and wait for its end; whether there was some."""
        if self._task is None or not self.is_busy:
            return False
        self._task.cancel()
        await asyncio.wait([self._task])
        return True
