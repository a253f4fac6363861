"""The clock of another process, which a test sets while it runs (libfaketime)."""

import importlib.util
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

LIBRARY: Final = "vendor/libfaketime/src/libfaketime.so.1"


class SetClock:
    """What makes a process see another time of day, and only that: uptime and files keep theirs."""

    def __init__(self, directory: Path) -> None:
        self._offset = timedelta()
        self._file = directory / "clock"
        self.set()

    @property
    def environment(self) -> dict[str, str]:
        """For the process whose clock it is."""
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def now(self) -> datetime:
        """What the process takes for the time."""
        return datetime.now().astimezone() + self._offset

    def set(self, **offset: float) -> None:
        """Be off by ``offset`` from now on; by nothing without one."""
        self._offset = timedelta(**offset)
        new = self._file.with_suffix(".new")
        new.write_text(f"{self._offset.total_seconds():+.0f}")
        # Never half written: the process reads it whenever it asks for the time.
        os.replace(new, self._file)


def library() -> Path:
    """What is preloaded: it comes with a package of the tests."""
    found = importlib.util.find_spec("libfaketime")
    assert found is not None, "libfaketime is installed with the extra test"
    assert found.origin is not None, "a package with a file"
    return Path(found.origin).parent / LIBRARY
