"""A real cluster in child processes, and what it takes to ask it for something."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any, Final, Literal

from benchmarks.client import Certificates, Load, generate
from benchmarks.comparison import Sample
from benchmarks.processes import cpu_seconds, in_child
from tests.ports import free_ports

RoleName = Literal["admin", "element", "ingester", "query"]
OFFSETS: Final[Mapping[RoleName, int]] = {"admin": 0, "element": 10, "ingester": 20, "query": 30}

TLS: Final = (
    '{enabled = true, verify_mode = "required", ca_cert_file = "certs/ca.crt", crl_file = "certs/crl.pem", '
    'cert_file = "certs/{role}.crt", key_file = "certs/{role}.key", '
    'client_cert_file = "certs/{role}-client.crt", client_key_file = "certs/{role}-client.key"}'
)
START_TIMEOUT: Final = 30.0
STOP_TIMEOUT: Final = 30.0
IDLE_SHARE: Final = 0.05
"""Of one core: who uses less is idle."""
_SETTLE_INTERVAL: Final = 0.25
_SETTLE_TIMEOUT: Final = 30.0


class DeploymentError(Exception):
    """The roles do not run, or refuse what they are asked."""


class Deployment:
    """All four roles on one directory: a process each, or one process for all (``artstore up``).

    With ``tls`` they speak mutual TLS, with certificates of their own authority. ``admins`` processes are
    admin and share its port.
    """

    def __init__(
        self,
        data: Path,
        *,
        one_process: bool = False,
        environment: Mapping[str, str] | None = None,
        tls: bool = False,
        admins: int = 1,
    ) -> None:
        self.data = data
        self.certificates = Certificates(data / "certs", "administrator-client") if tls else None
        self._environment = {**os.environ, **(environment or {}), **({"ARTSTORE__TLS": TLS} if tls else {})}
        self._one_process = one_process
        self._base_port = free_ports(max(OFFSETS.values()) + 1)
        self._processes: dict[RoleName, subprocess.Popen[bytes]] = {}
        self._admins = admins
        self._more_admins: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start every role and wait until all are ready."""
        if not self.data.exists():
            subprocess.run(
                [_artstore(), "init", str(self.data), "--base-port", str(self._base_port)],
                check=True,
                capture_output=True,
            )
            if self.certificates is not None:
                subprocess.run(
                    [_artstore(), "certs", "init", "--data", str(self.data)], check=True, capture_output=True
                )
        if self._one_process:
            self._processes = dict.fromkeys(OFFSETS, self._spawn("up", "--data", str(self.data)))
        else:
            self._processes = {role: self._spawn_role(role) for role in OFFSETS}
            self._more_admins = [self._spawn_role("admin") for _ in range(1, self._admins)]
        self._wait_until_ready()

    def stop(self) -> None:
        """End every process, cleanly if it can."""
        processes = [*self._processes.values(), *self._more_admins]
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def port(self, role: RoleName) -> int:
        return self._base_port + OFFSETS[role]

    def process_id(self, role: RoleName) -> int:
        return self._processes[role].pid

    def process_ids(self) -> Sequence[int]:
        """Each process once."""
        return sorted({process.pid for process in (*self._processes.values(), *self._more_admins)})

    def basic_credentials(self) -> str:
        """The administrator's, as HTTP Basic wants them."""
        return base64.b64encode(
            (self.data / "secrets" / "client-administrator").read_bytes().strip()
        ).decode()

    def token(self) -> str:
        """An access token of the administrator."""
        answer = self.ask(
            "admin",
            "POST",
            "/api/v1/auth/token",
            body=b"grant_type=client_credentials",
            headers={
                "Authorization": f"Basic {self.basic_credentials()}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        return str(answer["access_token"])

    def ask(
        self,
        role: RoleName,
        method: str,
        path: str,
        *,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str],
    ) -> Any:
        """One request whose answer is JSON."""
        scheme = "http" if self.certificates is None else "https"
        context = None if self.certificates is None else self.certificates.context()
        request = urllib.request.Request(
            f"{scheme}://127.0.0.1:{self.port(role)}{path}", data=body, method=method, headers=dict(headers)
        )
        with urllib.request.urlopen(request, timeout=START_TIMEOUT, context=context) as response:
            return json.load(response)

    def settle(self) -> None:
        """Write what is dirty to the disk and wait until the roles have nothing left to do."""
        os.sync()
        deadline = time.monotonic() + _SETTLE_TIMEOUT
        while self._busy_share() > IDLE_SHARE and time.monotonic() < deadline:
            pass

    def _busy_share(self) -> float:
        before = cpu_seconds(self.process_ids())
        time.sleep(_SETTLE_INTERVAL)
        return (cpu_seconds(self.process_ids()) - before) / _SETTLE_INTERVAL

    def _spawn_role(self, role: RoleName) -> "subprocess.Popen[bytes]":
        """As a supervisor of several processes starts each of them."""
        sharing = ["--reuse-port"] if role == "admin" and self._admins > 1 else []
        return self._spawn("run", role, "--config", str(self.data / "artstore.toml"), *sharing)

    def _spawn(self, *arguments: str) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            return subprocess.Popen([_artstore(), *arguments], stdout=log, stderr=log, env=self._environment)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not all(self._is_ready(role) for role in OFFSETS):
            ended = any(process.poll() is not None for process in self._processes.values())
            if ended or time.monotonic() > deadline:
                raise DeploymentError(f"the roles do not start:\n{self._log.read_text()[-4000:]}")
            time.sleep(0.1)

    def _is_ready(self, role: RoleName) -> bool:
        try:
            return bool(self.ask(role, "GET", "/health/ready", headers={})["status"] == "ok")
        except OSError:
            return False

    @property
    def _log(self) -> Path:
        return self.data.with_suffix(".log")


@contextmanager
def running(deployment: Deployment) -> Generator[Deployment, None, None]:
    """The deployment is up, and is stopped afterwards."""
    try:
        deployment.start()
        yield deployment
    finally:
        deployment.stop()


def measured(load: Load, *, units_per_answer: float = 1) -> Sample:
    """What ``load`` gives, from a load generator in its own process."""
    outcome = in_child(generate, load)
    units = outcome.answers * units_per_answer
    slow = quantiles(outcome.latencies, n=100)[-1] if len(outcome.latencies) > 1 else None
    return Sample(rate=units / outcome.seconds, cpu=outcome.cpu / units, slow=slow)


def _artstore() -> str:
    found = shutil.which("artstore", path=str(Path(sys.executable).parent))
    if found is None:
        raise DeploymentError("artstore is not installed in this environment")
    return found
