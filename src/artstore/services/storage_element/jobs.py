"""What an element does by itself beside serving, again and again, whatever becomes of one time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import Counter

from artstore.core.cancellation import end_if_cancelled
from artstore.core.logging import get_logger
from artstore.core.spec import UnavailableError

LONGEST_PAUSE: Final = 60.0
"""Seconds after which a job that fails is tried again at the latest, unless it is done more seldom anyway."""
_log: Final = get_logger("element")


class Jobs:
    """Whatever a job fails with, the element goes on serving, and says so."""

    def __init__(self, failures: Counter) -> None:
        self._failures = failures
        self._failing: dict[str, str] = {}

    async def repeat(self, name: str, job: Callable[[], Awaitable[object]], *, every: float) -> None:
        """Do it every so many seconds, and after each failure twice as seldom, until cancelled."""
        pause = every
        while True:
            end_if_cancelled()
            await asyncio.sleep(pause)
            try:
                await job()
            except Exception as error:
                self._failing[name] = type(error).__name__
                self._failures.labels(name).inc()
                # A traceback reads source files: that blocks.
                await asyncio.to_thread(_log.error, "job_failed", job=name, exc_info=error)
                pause = min(2 * pause, max(every, LONGEST_PAUSE))
            else:
                self._failing.pop(name, None)
                pause = every

    async def probe(self) -> str:
        """For health.

        Raises:
            UnavailableError: one failed when it was done last.
        """
        if self._failing:
            failing = ", ".join(f"{name} ({error})" for name, error in sorted(self._failing.items()))
            raise UnavailableError(f"failed and is tried again, see the log of this element: {failing}")
        return "none failed"
