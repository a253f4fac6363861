"""Stops asking, for a while, whoever does not answer."""

import asyncio
from collections.abc import Callable
from random import uniform
from time import monotonic
from typing import Final

TRIALS: Final = 5
"""Calls in a row without an answer before somebody is left alone."""
PAUSE: Final = 1.0
"""Seconds: who comes back is found soon, who does not costs a call per second and not one per request."""
PATIENCE: Final = 2.0
"""Seconds for which a caller that may wait does so before it is told that somebody is left alone: the longest
pause, and an answer. Of one that is back, nobody is told that it is not."""
_JITTER: Final = 0.2
"""Of the pause: who failed together need not come back together."""


class Breaker:
    """Opens after ``trials`` failures in a row, for ``pause`` seconds; then one caller tries first.

    Args:
        pause: In seconds, give or take a fifth.
        trials: Failures in a row after which it opens.
        note_state: Told whenever it opens (``True``) or closes.

    """

    def __init__(
        self,
        *,
        pause: float = PAUSE,
        trials: int = TRIALS,
        note_state: Callable[[bool], object] = lambda is_open: None,
    ) -> None:
        self._pause = pause
        self._trials = trials
        self._note_state = note_state
        self._failures = 0
        self._until = 0.0
        self._is_tried_until = 0.0
        self._was_told = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether to do without an answer."""
        return monotonic() < self._until

    def may_try(self) -> bool:
        """Whether to ask: not while it is open; after that, one caller at a time until one succeeds."""
        now = monotonic()
        if now < self._until or now < self._is_tried_until:
            return False
        if self._failures >= self._trials:
            # Not for ever: who tries may have to wait long.
            self._is_tried_until = now + self._pause
            self._was_told.clear()
        return True

    async def may_try_within(self, left: float | None = None) -> bool:
        """As :meth:`may_try`, but wait for the end of the pause, and for what the one caller finds who tries
        first, as long as it is worth it for whoever has ``left`` seconds (``None``: any).

        Whose patience ends before the pause does is told at once, and nobody waits for a second trial, but
        where the first was given up.
        """
        patient_until = monotonic() + (PATIENCE if left is None else min(PATIENCE, left))
        if self.is_open:
            if self._until > patient_until:
                return False
            await asyncio.sleep(self._until - monotonic())
        while not self.may_try():
            if self.is_open:
                return False
            try:
                async with asyncio.timeout(patient_until - monotonic()):
                    await self._was_told.wait()
            except TimeoutError:
                return self.may_try()
        return True

    def give_up(self) -> None:
        """Who tried will not tell, since it was cancelled, or was in a hurry: let another one try at once."""
        self._is_tried_until = 0.0
        self._was_told.set()

    def note_success(self) -> None:
        self._failures = 0
        self._until = self._is_tried_until = 0.0
        self._was_told.set()
        self._note_state(False)

    def note_failure(self) -> None:
        self._failures += 1
        self._is_tried_until = 0.0
        self._was_told.set()
        if self._failures >= self._trials:
            self._until = monotonic() + self._pause * uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
            self._note_state(True)
