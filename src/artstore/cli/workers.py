"""Several processes of one role on one port: the kernel spreads connections over them."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Final

from artstore.core.logging import get_logger
from artstore.core.server import stop_signals
from artstore.core.spec import ConfigurationError

RESTART_DELAY: Final = 1.0
"""Seconds before a worker that ended by itself is started again."""
CONFIGURATION_EXIT: Final = 2
_log = get_logger("workers")


def supervise(arguments: Sequence[str], *, workers: int) -> None:
    """Keep ``workers`` processes of ``artstore <arguments>`` running until SIGTERM, SIGINT or SIGHUP.

    A worker that ends by itself is started again; signals are passed on and all are waited for.

    Raises:
        ConfigurationError: a worker found its configuration unusable, and said so.
    """
    command = [sys.executable, "-m", "artstore", *arguments]
    stopping = _Stopping()
    running = [subprocess.Popen(command) for _ in range(workers)]  # noqa: S603 - our own command line
    try:
        while not stopping.is_set:
            running = [_kept(process, command) for process in running]
            time.sleep(0.2)
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            process.wait()


class _Stopping:
    """Whether a signal that asks to stop has come."""

    def __init__(self) -> None:
        self.is_set = False
        for number in stop_signals():
            signal.signal(number, self._set)

    def _set(self, number: int, frame: FrameType | None) -> None:
        self.is_set = True


def _kept(process: "subprocess.Popen[bytes]", command: Sequence[str]) -> "subprocess.Popen[bytes]":
    if (code := process.poll()) is None:
        return process
    if code == CONFIGURATION_EXIT:
        raise ConfigurationError("a worker cannot use the configuration; its message is above")
    _log.warning("worker_ended", exit_code=code)
    time.sleep(RESTART_DELAY)
    return subprocess.Popen(command)  # noqa: S603 - our own command line
