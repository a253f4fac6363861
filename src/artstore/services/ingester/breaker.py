"""Stops asking, for a while, whoever just failed to answer."""

from time import monotonic

from prometheus_client import Gauge


class Breaker:
    """Open after a failure, for ``pause`` seconds; then whoever comes next tries again."""

    def __init__(self, *, pause: float, state: Gauge) -> None:
        self._pause = pause
        self._until = 0.0
        self._state = state

    @property
    def is_open(self) -> bool:
        """Whether to do without an answer."""
        return monotonic() < self._until

    def note_success(self) -> None:
        self._until = 0.0
        self._state.set(0)

    def note_failure(self) -> None:
        self._until = monotonic() + self._pause
        self._state.set(1)
