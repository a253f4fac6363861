"""What mutual TLS costs: files with and without it, and handshakes against those of OpenSSL's own server."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Final

from benchmarks.client import AnswerError, Certificates, Load, Request
from benchmarks.comparison import Contender, Sample, compare
from benchmarks.deployment import Deployment, measured, running
from benchmarks.documents import download, element_upload, stored_file
from benchmarks.processes import cpu_seconds, in_child
from benchmarks.workplace import KIB, MIB, Workplace
from tests.ports import free_ports

SIZES: Final = {10 * KIB: 16, 100 * MIB: 2}
"""Connections, by size of the file."""
CLIENTS: Final = 4
"""Threads that make connections, one after the other each."""
REQUEST: Final = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def run(place: Workplace) -> None:
    with (
        running(Deployment(place.directory / "plain")) as plain,
        running(Deployment(place.directory / "secured", tls=True)) as secured,
    ):
        for size in SIZES:
            name = f"{size // KIB} KB" if size < MIB else f"{size // MIB} MB"
            _compare(place, plain, secured, f"Downloads of {name}", size, _download(size))
            _compare(place, plain, secured, f"Uploads of {name}", size, _upload(size))
        _compare_handshakes(place, secured)


def _download(size: int) -> Callable[[Deployment], Request]:
    def request(deployment: Deployment) -> Request:
        token = deployment.token()
        return download(stored_file(deployment, token=token, size=size), token)

    return request


def _upload(size: int) -> Callable[[Deployment], Request]:
    return lambda deployment: element_upload(deployment.token(), size=size)


def _compare(
    place: Workplace,
    plain: Deployment,
    secured: Deployment,
    title: str,
    size: int,
    make_request: Callable[[Deployment], Request],
) -> None:
    """Small files by number, large ones by MiB: either way the ratio is that of the same work."""
    units = 1 if size < MIB else size / MIB

    def contender(name: str, deployment: Deployment) -> Contender:
        load = Load(
            deployment.port("element"),
            [make_request(deployment)],
            SIZES[size],
            [deployment.process_id("element")],
            seconds=place.scale.seconds,
            certificates=deployment.certificates,
        )
        return Contender(name, lambda: measured(load, units_per_answer=units))

    compare(
        f"{title}, the element, {SIZES[size]} connections",
        unit="file" if size < MIB else "MiB",
        limit=contender("plain", plain),
        contenders=[contender("mutual TLS 1.3", secured)],
        repeats=place.scale.repeats,
        settle=secured.settle,
    )


def _compare_handshakes(place: Workplace, secured: Deployment) -> None:
    certificates = secured.certificates
    assert certificates is not None, "this one speaks TLS"
    port, process_id, seconds = secured.port("element"), secured.process_id("element"), place.scale.seconds

    def contender(name: str, port: int, process_id: int, *, resumed: bool) -> Contender:
        return Contender(
            name,
            lambda: in_child(handshakes, port, certificates, process_id, resumed=resumed, seconds=seconds),
        )

    with _openssl_server(certificates) as (openssl_port, openssl_id):
        compare(
            f"Handshakes of mutual TLS 1.3, with a request each, {CLIENTS} clients",
            unit="handshake",
            limit=contender("s_server", openssl_port, openssl_id, resumed=False),
            contenders=[
                contender("the element", port, process_id, resumed=False),
                contender("the element, resumed", port, process_id, resumed=True),
                contender("s_server, resumed", openssl_port, openssl_id, resumed=True),
            ],
            repeats=place.scale.repeats,
            settle=secured.settle,
        )


def handshakes(
    port: int, certificates: Certificates, process_id: int, *, resumed: bool, seconds: float
) -> Sample:
    """Connections per second, each asked once and closed.

    Raises:
        AnswerError: a request was not answered, or a session was not resumed.
    """
    done: list[int] = []
    failures: list[Exception] = []

    def client() -> None:
        try:
            done.append(_connect_repeatedly(port, certificates, resumed=resumed, until=deadline))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    cpu, started = cpu_seconds([process_id]), time.perf_counter()
    deadline = started + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed, cpu = time.perf_counter() - started, cpu_seconds([process_id]) - cpu
    if failures:
        raise failures[0]
    return Sample(rate=sum(done) / elapsed, cpu=cpu / sum(done))


def _connect_repeatedly(port: int, certificates: Certificates, *, resumed: bool, until: float) -> int:
    context = certificates.context()
    number, session = 0, None
    while time.perf_counter() < until:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
            context.wrap_socket(connection, server_hostname="127.0.0.1", session=session) as secured,
        ):
            if session is not None and not secured.session_reused:
                raise AnswerError("the session was not resumed")
            secured.sendall(REQUEST)
            if not secured.recv(65536).startswith(b"HTTP/1."):
                raise AnswerError("the server did not answer")
            session = secured.session if resumed else None
        number += 1
    return number


@contextmanager
def _openssl_server(certificates: Certificates) -> Generator[tuple[int, int], None, None]:
    """OpenSSL's own server, which wants a certificate and answers any request; its port and process."""
    port = free_ports()
    files: Sequence[str] = ("-cert", "element.crt", "-key", "element.key", "-CAfile", "ca.crt")
    process = subprocess.Popen(
        [
            *("openssl", "s_server", "-accept", f"127.0.0.1:{port}", *files),
            *("-Verify", "1", "-verify_return_error", "-tls1_3", "-www", "-quiet"),
        ],
        cwd=certificates.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_open(port)
        yield port, process.pid
    finally:
        process.kill()
        process.wait()


def _wait_until_open(port: int) -> None:
    deadline = time.perf_counter() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.perf_counter() > deadline:
                raise
            time.sleep(0.05)
