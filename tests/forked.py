"""Commands in processes that have the libraries already: importing them takes longer than most commands.

ArtStore itself each process imports, as the installed command does. That is what the guides are followed
with, and tests that give it an environment, an input, a terminal or a signal.
"""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

TIMEOUT: Final = 120.0

_processes: Final = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["aiohttp.web", "cryptography.x509", "pydantic", "rich.progress", "structlog", "typer"]
)


def run_forked(command: Sequence[str], *, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run ``artstore`` with the arguments that follow its name in ``command``; nothing can be typed into it.

    Raises:
        subprocess.TimeoutExpired: it did not end.
    """
    with TemporaryDirectory() as directory:
        outputs = [Path(directory, name) for name in ("stdout", "stderr")]
        process = _processes.Process(
            target=_run, args=(command, cwd or Path.cwd(), dict(os.environ), outputs)
        )
        process.start()
        process.join(TIMEOUT)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(command, TIMEOUT)
        return subprocess.CompletedProcess(command, process.exitcode, *(path.read_text() for path in outputs))


def _run(command: Sequence[str], cwd: Path, environment: Mapping[str, str], outputs: Sequence[Path]) -> None:
    for descriptor, output in enumerate(outputs, start=1):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = list(command)
    from artstore.cli import main  # by this process, not by the one that it is forked from

    main()
