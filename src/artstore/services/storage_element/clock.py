"""What time it is: one object for the whole element, which a test may replace."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The time of day, and the time since the machine started, which nobody can set."""

    def now(self) -> datetime:
        """The time of day, UTC, as the machine believes it is."""
        ...

    def uptime(self) -> float:
        """Seconds since the machine started, those in which it slept included."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def uptime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
