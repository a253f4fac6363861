"""Stops asking, for a while, whoever does not answer."""

from collections.abc import Callable
from random import uniform
from time import monotonic
from typing import Final

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
        self, *, pause: float, trials: int = 1, note_state: Callable[[bool], object] = lambda is_open: None
    ) -> None:
        self._pause = pause
        self._trials = trials
        self._note_state = note_state
        self._failures = 0
        self._until = 0.0
        self._is_tried_until = 0.0

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
            # Not for ever: who tries may be cancelled, and then never tells.
            self._is_tried_until = now + self._pause
        return True

    def note_success(self) -> None:
        self._failures = 0
        self._until = self._is_tried_until = 0.0
        self._note_state(False)

    def note_failure(self) -> None:
        self._failures += 1
        self._is_tried_until = 0.0
        if self._failures >= self._trials:
            self._until = monotonic() + self._pause * uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
            self._note_state(True)
