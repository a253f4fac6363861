"""Ceph's object gateway with one monitor and one store in memory, from Debian's packages."""

import secrets
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.environments import missing
from tests.ports import free_ports
from tests.s3.servers import S3Server, server_at

PROGRAMS: Final = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "ceph")
START_TIMEOUT: Final = 120.0
ACCESS_KEY: Final = "tests"

# No authentication between its own daemons, one copy, everything in memory and below one directory.
CONF: Final = """
[global]
fsid = {fsid}
mon host = v1:127.0.0.1:{monitor_port}
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms bind msgr2 = false
osd objectstore = memstore
memstore device bytes = 2147483648
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon max pg per osd = 2000
mon allow pool size one = true
run dir = {directory}
admin socket = {directory}/$name.asok
log file = {directory}/$name.log
pid file = {directory}/$name.pid
mon data = {directory}/mon
osd data = {directory}/osd
rgw data = {directory}/rgw
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port}
"""


class Ceph:
    """Daemons that work in one directory."""

    def __init__(self, directory: Path) -> None:
        self.port = free_ports()
        self.log = directory / "output.log"
        self._directory = directory
        self._conf = directory / "ceph.conf"
        self._fsid = str(uuid.uuid4())
        self._monitor_port = free_ports()
        self._conf.write_text(
            CONF.format(fsid=self._fsid, monitor_port=self._monitor_port, port=self.port, directory=directory)
        )

    def start(self, stack: ExitStack) -> str:
        """The secret key of the user ``tests``."""
        self._start_monitor(stack)
        self._start_store(stack)
        self._daemon(stack, "radosgw", "-n", "client.rgw", "-f")
        _wait_until_answering(f"http://127.0.0.1:{self.port}", self.log)
        secret = secrets.token_hex(16)
        self._run(
            *("radosgw-admin", "user", "create", "--uid", "tests", "--display-name", "tests"),
            *("--access-key", ACCESS_KEY, "--secret-key", secret),
        )
        return secret

    def _start_monitor(self, stack: ExitStack) -> None:
        address = f"[v1:127.0.0.1:{self._monitor_port}]"
        plan = str(self._directory / "monmap")
        self._run("monmaptool", "--create", "--fsid", self._fsid, "--addv", "a", address, plan)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", plan, "--no-mon-config")
        self._daemon(stack, "ceph-mon", "-i", "a", "-f")

    def _start_store(self, stack: ExitStack) -> None:
        identity = str(uuid.uuid4())
        self._run("ceph", "osd", "new", identity)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", identity, "--no-mon-config")
        self._run("ceph", "osd", "crush", "add", "osd.0", "1.0", "host=h", "root=default")
        self._daemon(stack, "ceph-osd", "-i", "0", "-f")

    def _run(self, program: str, *arguments: str) -> None:
        with self.log.open("ab") as log:
            subprocess.run(
                [program, "-c", str(self._conf), *arguments],
                check=True,
                stdout=log,
                stderr=log,
                timeout=START_TIMEOUT,
            )

    def _daemon(self, stack: ExitStack, program: str, *arguments: str) -> None:
        """``setpriv`` ends it with the process of the tests."""
        command = ["setpriv", "--pdeathsig", "KILL", program, "-c", str(self._conf), *arguments]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        stack.callback(process.wait)
        stack.callback(process.kill)


@contextmanager
def running_ceph() -> Generator[S3Server, None, None]:
    """A gateway, empty. Takes some 15 seconds."""
    for program in PROGRAMS:
        if shutil.which(program) is None:
            missing(f"{program} is not installed: apt-get install radosgw ceph-mon ceph-osd ceph-common")
    directory = Path(tempfile.mkdtemp(prefix="ceph-"))
    for name in ("mon", "osd", "rgw"):
        (directory / name).mkdir()
    try:
        with ExitStack() as stack:
            ceph = Ceph(directory)
            try:
                secret = ceph.start(stack)
            except Exception as error:
                raise AssertionError(f"Ceph did not start:\n{ceph.log.read_text()[-4000:]}") from error
            yield server_at(f"http://127.0.0.1:{ceph.port}", ACCESS_KEY, secret, ceph.log)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _wait_until_answering(url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"the gateway does not answer:\n{log.read_text()[-4000:]}")
