"""What time it is: one object for the whole element, which a test may replace."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """The time of day, and the time since the machine started, which nobody can set."""

    def now(self) -> datetime:
        """The time of day, UTC, as the machine believes it is."""
        ...

    def uptime(self) -> float:
        """Seconds since the machine started, those in which it slept included."""
        ...

    def boot(self) -> str:
        """Names the present run of the machine; nothing where it has no name. Blocks."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def uptime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def boot(self) -> str:
        with suppress(OSError):
            return _BOOT_ID.read_text().strip()
        return ""
