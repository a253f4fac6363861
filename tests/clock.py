"""A monotonic clock that a test moves."""


class Clock:
    """Stands still until the test changes ``now``."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
