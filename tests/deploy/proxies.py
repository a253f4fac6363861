"""nginx and HAProxy with the configuration that is shipped; only ports and directories are a test's own."""

import shutil
import subprocess
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

from artstore.cli.authority import Authority
from tests.architecture.repository import ROOT
from tests.cluster import OFFSETS, Cluster
from tests.core.tls.certificates import write_certificate
from tests.environments import missing
from tests.ports import free_ports

DEPLOY: Final = ROOT / "deploy"
SHIPPED_DIRECTORY: Final = "/etc/artstore/proxy"
HOSTS: Final = ("admin.archive.example", "ingester.archive.example", "query.archive.example")
NGINX: Final = """\
daemon off;
master_process off;
pid nginx.pid;
error_log error.log warn;
events {}
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxied; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    include artstore.conf;
}
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that runs in front of a cluster."""

    port: int
    certs: Path

    def curl(self, role: str, path: str, *arguments: str, client: str | None) -> str:
        """The answer of one role, as an application gets it; its last line: status and version of HTTP."""
        host = f"{role}.archive.example"
        files = [] if client is None else ["--cert", f"{client}.crt", "--key", f"{client}.key"]
        completed = subprocess.run(
            [
                *("curl", "-sS", "--cacert", "ca.crt", *files),
                *("--resolve", f"{host}:{self.port}:127.0.0.1", "-w", "\n%{http_code} HTTP/%{http_version}"),
                *(*arguments, f"https://{host}:{self.port}{path}"),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            cwd=self.certs,
        )
        return completed.stdout

    def openssl(self, *arguments: str) -> str:
        """What ``openssl s_client`` prints of a handshake."""
        completed = subprocess.run(
            [
                *("openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-servername", HOSTS[0]),
                *("-CAfile", str(self.certs / "ca.crt"), *arguments),
            ],
            input="",
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return completed.stdout + completed.stderr


@contextmanager
def running_responder(certs: Path, port: int, name: str, *, log: Path) -> Generator[None, None, None]:
    """OpenSSL's OCSP responder, which vouches for the certificate ``name``."""
    certificate = x509.load_pem_x509_certificate((certs / f"{name}.crt").read_bytes())
    expires = certificate.not_valid_after_utc.strftime("%y%m%d%H%M%SZ")
    index = certs / "index.txt"
    index.write_text(f"V\t{expires}\t\t{certificate.serial_number:X}\tunknown\t/CN={name}\n")
    with _process(
        [
            *("openssl", "ocsp", "-index", str(index), "-port", str(port), "-CA", str(certs / "ca.crt")),
            *("-rsigner", str(certs / "ca.crt"), "-rkey", str(certs / "ca.key"), "-ndays", "1"),
        ],
        log,
    ):
        yield


@contextmanager
def running_proxy(program: str, cluster: Cluster, directory: Path) -> Generator[Proxy, None, None]:
    """``nginx`` or ``haproxy`` in front of ``cluster``, with what `artstore certs` issues for it."""
    if shutil.which(program) is None:
        missing(f"{program} is not installed: apt-get install {program}")
    directory.mkdir()
    certs, responder, port = cluster.data / "certs", free_ports(), free_ports()
    _issue(certs, directory, responder)
    with ExitStack() as stack:
        log = directory / "output.log"
        stack.enter_context(running_responder(certs, responder, "server", log=log))
        config = _configure(program, cluster, directory, port)
        if program == "haproxy":
            _staple(certs, directory, responder)
        command = {
            "nginx": ["nginx", "-p", str(directory), "-c", str(config)],
            "haproxy": ["haproxy", "-db", "-f", str(config)],
        }[program]
        stack.enter_context(_process(command, log))
        proxy = Proxy(port, certs)
        _wait_until(lambda: "Verify return code: 0" in proxy.openssl(), log)
        yield proxy


def _issue(certs: Path, directory: Path, responder: int) -> None:
    """A server's certificate that names its responder, and one with which the proxy asks roles."""
    write_certificate(certs, "server", hosts=HOSTS, responder=f"http://127.0.0.1:{responder}")
    Authority(certs).issue("proxy-client", "client")
    for name in ("ca.crt", "crl.pem", "server.crt", "server.key", "proxy-client.crt", "proxy-client.key"):
        shutil.copy(certs / name, directory)
    shutil.copy(certs / "ca.crt", directory / "issuers.crt")
    for name in ("server", "proxy-client"):
        parts = (f"{name}.crt", "issuers.crt", f"{name}.key")
        (directory / f"{name}.pem").write_text("".join((directory / part).read_text() for part in parts))


def _configure(program: str, cluster: Cluster, directory: Path, port: int) -> Path:
    shipped = DEPLOY / program / ("artstore.conf" if program == "nginx" else "artstore.cfg")
    replaced: Mapping[str, str] = {
        SHIPPED_DIRECTORY: str(directory),
        "listen 443": f"listen 127.0.0.1:{port}",
        "bind :443": f"bind 127.0.0.1:{port}",
        **{
            f"127.0.0.1:{8000 + offset}": f"127.0.0.1:{cluster.base_port + offset}"
            for offset in OFFSETS.values()
        },
    }
    text = shipped.read_text()
    for here, there in replaced.items():
        text = text.replace(here, there)
    config = directory / shipped.name
    config.write_text(text)
    if program == "nginx":
        config = directory / "nginx.conf"
        config.write_text(NGINX)
    return config


def _staple(certs: Path, directory: Path, responder: int) -> None:
    """As an operator would for HAProxy, which fetches nothing by itself."""
    subprocess.run(
        [
            *("openssl", "ocsp", "-issuer", str(certs / "ca.crt"), "-cert", str(certs / "server.crt")),
            *("-url", f"http://127.0.0.1:{responder}", "-respout", str(directory / "server.pem.ocsp")),
            *("-CAfile", str(certs / "ca.crt")),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )


@contextmanager
def _process(command: list[str], log: Path) -> Generator[None, None, None]:
    """``setpriv`` ends it with the process of the tests."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _wait_until(happens: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < deadline, log.read_text()[-4000:]
        time.sleep(0.1)
