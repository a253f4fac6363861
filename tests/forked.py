"""Commands in processes that have all modules already: importing them takes longer than most commands.

Tests that give a command an environment, an input, a terminal or a signal start it as it is installed, and
so do the guides: that each finds what it imports is proved there.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from artstore.cli.main import COMMANDS

TIMEOUT: Final = 240.0
UNMEASURED: Final = {"COVERAGE_PROCESS_CONFIG": ""}
"""For processes that are killed, or cannot write: they never say what they ran, and note it in vain."""

_processes: Final = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    sorted({f"artstore.cli.{place.partition(':')[0]}" for place in COMMANDS.values()})
)


class ForkedProcess:
    """``artstore`` with the arguments that follow its name in ``command``; as a ``subprocess.Popen``."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        stdout: Path,
        stderr: Path,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.args = command
        self._process = _processes.Process(
            target=_run,
            args=(command, cwd or Path.cwd(), {**os.environ, **(environment or {})}, (stdout, stderr)),
            daemon=True,
        )
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None, "it has been started"
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """As ``Popen`` does: nothing when it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, timeout: float) -> int:
        """Its exit code.

        Raises:
            subprocess.TimeoutExpired: it has not ended.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode


def run_forked(
    command: Sequence[str], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end; nothing can be typed into it.

    Raises:
        subprocess.TimeoutExpired: it did not end, and was killed.
    """
    with TemporaryDirectory() as directory:
        outputs = [Path(directory, name) for name in ("stdout", "stderr")]
        process = ForkedProcess(
            command, stdout=outputs[0], stderr=outputs[1], cwd=cwd, environment=environment
        )
        try:
            code = process.wait(TIMEOUT)
        finally:
            process.send_signal(signal.SIGKILL)
        return subprocess.CompletedProcess(command, code, *(path.read_text() for path in outputs))


def _run(command: Sequence[str], cwd: Path, environment: Mapping[str, str], outputs: Sequence[Path]) -> None:
    if environment.items() >= UNMEASURED.items():
        sys.settrace(None)
        threading.settrace(None)
    for descriptor, output in enumerate(outputs, start=1):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = list(command)
    from artstore.cli import main

    main()
