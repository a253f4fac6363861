"""Waiting for whichever of several things happens first, and between two questions whether something has."""

import asyncio
from time import monotonic
from typing import Final

EARLY_PAUSE: Final = 0.5
"""Seconds until somebody is asked again who did not wait for news."""


async def first_of(*events: asyncio.Event) -> None:
    """Return when one of ``events`` is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()


async def pause_if_early(asked_at: float, patience: float) -> None:
    """After an answer without news: wait in the place of who could have waited for ``patience`` seconds.

    A server that stops answers at once, and whoever asks it again at once keeps both of them busy to its end.
    ``asked_at`` is by the monotonic clock.
    """
    if monotonic() - asked_at < patience / 2:
        await asyncio.sleep(EARLY_PAUSE)
