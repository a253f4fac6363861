"""A clock that a test sets."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Stands still until it is told otherwise."""

    def __init__(self, now: datetime = datetime(2026, 11, 25, 12, tzinfo=UTC)) -> None:
        self._now = now
        self._uptime = 1000.0
        self._boot = "boot"

    def now(self) -> datetime:
        return self._now

    def uptime(self) -> float:
        return self._uptime

    def boot(self) -> str:
        return self._boot

    def restart(self) -> None:
        """The machine starts again."""
        self._boot += "'"
        self._uptime = 0.0

    def advance(self, **amount: float) -> None:
        """Time passes."""
        passed = timedelta(**amount)
        self._now += passed
        self._uptime += passed.total_seconds()

    def jump(self, **amount: float) -> None:
        """Somebody sets the time of day; no time passes."""
        self._now += timedelta(**amount)
