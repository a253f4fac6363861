"""A real cluster in child processes: what every test that drives ArtStore from outside starts."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from multidict import CIMultiDict

from tests.forked import UNMEASURED, ForkedProcess, run_forked
from tests.ports import free_ports

START_TIMEOUT: Final = 90.0
OFFSETS: Final = {"admin": 0, "element": 10, "ingester": 20, "query": 30}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        return json.loads(self.body)


class Cluster:
    """``artstore up`` on one directory, in a child process; with ``tls`` as ``artstore up --tls``."""

    def __init__(self, data: Path, *, base_port: int | None = None, tls: bool = False) -> None:
        self.data = data
        self.tls = tls
        self.base_port = base_port or free_base_port()
        self.log = data.parent / f"{data.name}.log"
        self._process: subprocess.Popen[bytes] | ForkedProcess | None = None
        self._token: str | None = None

    def start(self, *, environment: Mapping[str, str] | None = None) -> "Cluster":
        """Start as a person does, and wait until every role is ready."""
        self.spawn(environment=environment)
        self.wait_until_ready()
        return self

    def spawn(self, *, environment: Mapping[str, str] | None = None) -> None:
        """Start as a person does, without waiting."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdout=log, stderr=log, env={**os.environ, **(environment or {})}
            )
        self._token = None

    def fork(self, *, environment: Mapping[str, str] | None = None) -> "Cluster":
        """Start, in a process that is there already, what the test is not about; wait until it is ready."""
        self._process = ForkedProcess(
            self._command(), stdout=self.log, stderr=self.log, environment=environment
        )
        self._token = None
        self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        """Poll the readiness of all roles.

        Raises:
            AssertionError: the process ended, or is not ready in time; with the end of its log.
        """
        deadline = time.monotonic() + START_TIMEOUT
        while not all(self._is_ready(role) for role in OFFSETS):
            assert self.process.poll() is None, f"the cluster ended:\n{self.tail()}"
            assert time.monotonic() < deadline, f"the cluster is not ready:\n{self.tail()}"
            time.sleep(0.05)

    @property
    def process(self) -> "subprocess.Popen[bytes] | ForkedProcess":
        assert self._process is not None, "the cluster has not been started"
        return self._process

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(START_TIMEOUT)

    def kill(self) -> None:
        """End it without warning."""
        self.stop(signal.SIGKILL)

    def url(self, role: str, path: str = "") -> str:
        scheme = "https" if self.tls else "http"
        return f"{scheme}://127.0.0.1:{self.base_port + OFFSETS[role]}{path}"

    def credentials(self, name: str = "client-administrator") -> tuple[str, str]:
        """Client id and secret of an account, from its secret file."""
        client_id, _, secret = (self.data / "secrets" / name).read_text().strip().partition(":")
        return client_id, secret

    def token(self) -> str:
        """An access token of the administrator."""
        if self._token is None:
            client_id, secret = self.credentials()
            form = urllib.parse.urlencode(
                {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
            )
            url = self.url("admin", "/api/v1/auth/token")
            answer = request("POST", url, body=form.encode(), headers=_FORM, context=self.ssl_context())
            assert answer.status == 200, answer
            self._token = answer.json()["access_token"]
        return str(self._token)

    def request(
        self,
        role: str,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        json_body: object = None,
    ) -> Answer:
        """One authenticated request."""
        sent = {"Authorization": f"Bearer {self.token()}", **(headers or {})}
        if json_body is not None:
            body = json.dumps(json_body).encode()
            sent["Content-Type"] = "application/json"
        return request(method, self.url(role, path), body=body, headers=sent, context=self.ssl_context())

    def ssl_context(self, client: str | None = "administrator-client") -> ssl.SSLContext | None:
        """Trusts the cluster's authority, and shows the certificate of ``client``."""
        if not self.tls:
            return None
        certs = self.data / "certs"
        context = ssl.create_default_context(cafile=certs / "ca.crt")
        if client is not None:
            context.load_cert_chain(certs / f"{client}.crt", certs / f"{client}.key")
        return context

    def command(
        self, *arguments: str, check: bool = True, cwd: Path | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """``artstore <arguments> --data <directory>``."""
        return run_artstore(*arguments, "--data", str(self.data), check=check, cwd=cwd)

    def tail(self) -> str:
        """The end of the log."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def _command(self) -> list[str]:
        options = ["--tls"] if self.tls else []
        return [artstore(), "up", "--data", str(self.data), "--base-port", str(self.base_port), *options]

    def _is_ready(self, role: str) -> bool:
        try:
            url, context = self.url(role, "/health/ready"), self.ssl_context()
            return bool(request("GET", url, context=context).json()["status"] == "ok")
        except (OSError, KeyError, ValueError):
            return False


@contextmanager
def running_cluster(
    data: Path, *, tls: bool = False, environment: Mapping[str, str] | None = None
) -> Generator[Cluster, None, None]:
    """A cluster that is up, and is killed afterwards."""
    cluster = Cluster(data, tls=tls)
    try:
        yield cluster.fork(environment={**UNMEASURED, **(environment or {})})
    finally:
        cluster.stop(signal.SIGKILL)


def request(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    context: ssl.SSLContext | None = None,
) -> Answer:
    """One request; error statuses are answers, not exceptions."""
    sent = urllib.request.Request(url, data=body, method=method, headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(sent, timeout=60, context=context) as response:
            return Answer(response.status, CIMultiDict(response.headers.items()), response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, CIMultiDict(error.headers.items()), error.read())


def run_artstore(
    *arguments: str, check: bool = True, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """The command line; with an ``environment`` as a person starts it, and in a forked process without."""
    command = [artstore(), *arguments]
    if environment is None:
        completed = run_forked(command, cwd=cwd)
    else:
        completed = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=cwd,
            env={**os.environ, **environment},
        )
    if check:
        assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed


def artstore() -> str:
    """The installed command that belongs to this Python."""
    found = shutil.which("artstore", path=str(Path(sys.executable).parent))
    assert found, "artstore is not installed in this environment"
    return found


def free_base_port() -> int:
    """A base port whose four ports are free now."""
    return free_ports(max(OFFSETS.values()) + 1)


_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
