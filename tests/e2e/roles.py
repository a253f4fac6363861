"""A cluster whose roles are processes of their own, so that one can be ended while the others run."""

import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import OFFSETS, START_TIMEOUT, Cluster, artstore, request, run_artstore
from tests.forked import UNMEASURED, ForkedProcess


class SeparateRoles(Cluster):
    """``artstore run`` for every role, on one directory."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self._processes: dict[str, ForkedProcess] = {}
        run_artstore("init", str(data), "--base-port", str(self.base_port))

    def start_role(self, role: str) -> None:
        """Start one role and wait until it is ready."""
        self._processes[role] = ForkedProcess(
            [artstore(), "run", role, "--config", str(self.data / "artstore.toml")],
            stdout=self.log,
            stderr=self.log,
            environment=UNMEASURED,
        )
        deadline = time.monotonic() + START_TIMEOUT
        while not self._is_role_ready(role):
            assert time.monotonic() < deadline, f"{role} is not ready:\n{self.tail()}"
            time.sleep(0.05)

    def kill_role(self, role: str) -> None:
        """End one role without warning."""
        self._processes[role].send_signal(signal.SIGKILL)
        self._processes[role].wait(START_TIMEOUT)

    def kill(self) -> None:
        for role in self._processes:
            self.kill_role(role)

    def _is_role_ready(self, role: str) -> bool:
        try:
            return request("GET", self.url(role, "/health/ready")).status == 200
        except OSError:
            return False


@contextmanager
def running_roles(data: Path) -> Generator[SeparateRoles, None, None]:
    """Separate roles that are up, and are gone afterwards."""
    roles = SeparateRoles(data)
    try:
        for role in OFFSETS:
            roles.start_role(role)
        yield roles
    finally:
        roles.kill()
