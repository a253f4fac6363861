"""Follows a page word for word: types what it says to type and compares what it says will come.

`…` on a page stands for what differs from machine to machine, alone on a line for any lines. A page that
shows no output at all is only followed. Comments that readers do not see prepare what a page takes for
granted (`<!-- $ command -->`) and press Ctrl-C.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.architecture.documents import PROMPT, Page
from tests.architecture.repository import ROOT
from tests.cluster import OFFSETS, START_TIMEOUT, Cluster, artstore, free_base_port, request

DOCUMENTED_PORT: Final = 8000
CTRL_C: Final = "Ctrl-C"
_END: Final = "end-of-command"
_SERVER: Final = re.compile(r"(make|artstore) up\b|artstore run\b")


class Shell:
    """A terminal: what is typed into it shares variables and folder."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def type(self, command: str) -> str:
        """What a command prints.

        Raises:
            AssertionError: it failed.
        """
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{command}\nprintf '\\n%s %s\\n' {_END} $?\n".encode())
        self._bash.stdin.flush()
        output = ""
        for line in self._bash.stdout:
            output += line.decode()
            if line.startswith(_END.encode()):
                break
        printed, _, status = output.rpartition(f"\n{_END} ")
        assert status.strip() == "0", f"$ {command}\n{output}"
        return printed

    def close(self) -> None:
        """End it and what runs in it."""
        self._bash.communicate()


class Servers:
    """Terminals in which roles run."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *, base_port: int) -> None:
        self._folder = folder
        self._environment = environment
        self._base_port = base_port
        self._log = folder / "servers.log"
        self._running: list[subprocess.Popen[bytes]] = []
        self._tls = False

    def start(self, command: str) -> str:
        """What it has printed when its roles are ready, or answer if there is only one."""
        arguments = shlex.split(command.replace("make up", "artstore up"))
        roles = [arguments[2]] if arguments[1] == "run" else list(OFFSETS)
        with self._log.open("ab") as log:
            before = log.tell()
            server = subprocess.Popen(
                arguments, cwd=self._folder, env=self._environment, stdout=log, stderr=log
            )
        self._running.append(server)
        self._tls = "--tls" in arguments
        deadline = time.monotonic() + START_TIMEOUT
        while not all(self._is_up(role, "ready" if len(roles) > 1 else "live") for role in roles):
            assert server.poll() is None, self._tail()
            assert time.monotonic() < deadline, self._tail()
            time.sleep(0.05)
        return self._log.read_bytes()[before:].decode()

    def interrupt(self) -> None:
        """Press Ctrl-C in all of them, and see them end well."""
        for server in self._running:
            server.send_signal(signal.SIGINT)
        for server in self._running:
            assert server.wait(START_TIMEOUT) == 0, self._tail()
        self._running.clear()

    def close(self) -> None:
        """End what still runs."""
        for server in self._running:
            server.kill()
            server.wait()

    def _is_up(self, role: str, state: str) -> bool:
        try:
            cluster = Cluster(self._folder / "artstore-data", base_port=self._base_port, tls=self._tls)
            url, context = cluster.url(role, f"/health/{state}"), cluster.ssl_context()
            return bool(request("GET", url, context=context).json()["status"] == "ok")
        except OSError:
            return False

    def _tail(self) -> str:
        return self._log.read_text()[-4000:]


class Walkthrough:
    """Somebody who does what pages say."""

    def __init__(self, shell: Shell, servers: Servers, *, base_port: int) -> None:
        self._shell = shell
        self._servers = servers
        self._base_port = base_port

    def follow(self, page: Page) -> None:
        """Do everything that the page says.

        Raises:
            AssertionError: a command failed, or something else came than the page says.
        """
        told = list(steps(page))
        shows_output = any(shown for _, shown in told)
        for documented, shown in told:
            command, expected = self._here(documented), self._here(shown)
            if command == CTRL_C:
                self._servers.interrupt()
                continue
            server = _SERVER.match(command)
            printed = self._servers.start(command) if server else self._shell.type(command)
            if shows_output and not matches(expected, printed):
                raise AssertionError(f"$ {command}\nthe page shows:\n{expected}\nbut this came:\n{printed}")
        self._servers.interrupt()

    def _here(self, text: str) -> str:
        """The ports of the page may be taken."""
        for offset in OFFSETS.values():
            text = text.replace(f":{DOCUMENTED_PORT + offset}", f":{self._base_port + offset}")
        return text


@contextmanager
def walkthrough(folder: Path) -> Generator[Walkthrough, None, None]:
    """Somebody who has cloned and installed ArtStore in ``folder``."""
    base_port = free_base_port()
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/activate").touch()
    for name in ("README.md", "docs"):
        (folder / name).symlink_to(ROOT / name)
    environment = {
        "PATH": f"{Path(artstore()).parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "COLUMNS": "200",
        "ARTSTORE__BASE_PORT": str(base_port),
    }
    shell = Shell(folder, environment)
    servers = Servers(folder, environment, base_port=base_port)
    try:
        yield Walkthrough(shell, servers, base_port=base_port)
    finally:
        servers.close()
        shell.close()


def steps(page: Page) -> Iterator[tuple[str, str]]:
    """Every command of a page with the output that the page shows."""
    for text in page.console():
        for step in re.split(rf"^{re.escape(PROMPT)}", text, flags=re.MULTILINE)[1:]:
            command, _, shown = step.partition("\n")
            yield command, shown


def matches(expected: str, printed: str) -> bool:
    """Whether it is what the page shows, whatever the width of columns."""
    pattern = "".join(
        r"(?:.*\n)*" if line.strip() == "…" else _pattern(line) + r"\n" for line in expected.splitlines()
    )
    lines = [" ".join(line.split()) for line in printed.strip().splitlines()]
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)) is not None


def _pattern(line: str) -> str:
    return ".*".join(map(re.escape, " ".join(line.split()).split("…")))
