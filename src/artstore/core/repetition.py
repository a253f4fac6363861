"""Work that a process does again and again, whatever becomes of one time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from artstore.core.cancellation import end_if_cancelled
from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError

_log: Final = get_logger("jobs")


async def repeat(name: str, work: Callable[[], Awaitable[object]], *, every: float) -> None:
    """Do ``work``, and after so many seconds again, until cancelled; never raises otherwise.

    A failure is logged when it begins, or is another, not each time while it lasts.
    """
    failure: str | None = None
    while True:
        before, failure = failure, None
        try:
            await work()
        except Exception as error:
            is_foreseen = isinstance(error, ArtStoreError)
            failure = str(error) if is_foreseen else type(error).__name__
            if failure != before:
                # In a thread: showing the lines of a traceback reads source files.
                cause = None if is_foreseen else error
                await asyncio.to_thread(_log.warning, "job_failed", job=name, reason=failure, exc_info=cause)
        end_if_cancelled()
        await asyncio.sleep(every)
