"""A load generator that costs little: blocking sockets, prepared requests, answers that are discarded."""

import re
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Final

from artstore.core.ids import new_file_id
from benchmarks.processes import cpu_seconds

MIB: Final = 1024 * 1024
BUFFER_SIZE: Final = MIB
TIMEOUT: Final = 60.0
ID: Final = b"{id}"
"""In the head of a request: replaced by a new file id each time."""

_CONTENT_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
# Bytes that no layer below could compress or deduplicate.
_BLOCK: Final = memoryview(bytes(range(256)) * (MIB // 256))


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. The body is ``body``, or ``body_size`` bytes of filling."""

    head: bytes
    body: bytes = b""
    body_size: int = 0


@dataclass(frozen=True, slots=True)
class Certificates:
    """What a client of mutual TLS trusts and shows, from a directory as `artstore certs` makes it."""

    directory: Path
    client: str

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.directory / "ca.crt")
        context.load_cert_chain(self.directory / f"{self.client}.crt", self.directory / f"{self.client}.key")
        return context


@dataclass(frozen=True, slots=True)
class Load:
    """Requests to one port, over and over, for ``seconds`` or until each connection has sent ``count``.

    ``served_by`` are the processes whose processor time is measured. With ``certificates`` over TLS.
    """

    port: int
    requests: Sequence[Request]
    connections: int
    served_by: Sequence[int]
    seconds: float = float("inf")
    count: float = float("inf")
    certificates: Certificates | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a load; ``latencies`` are in seconds, ``cpu`` is that of the serving processes."""

    answers: int
    seconds: float
    cpu: float
    latencies: Sequence[float] = field(repr=False)


class AnswerError(Exception):
    """A server refused a request: whatever was measured is worth nothing."""


def request_head(
    method: str, path: str, *, token: str | None = None, length: int = 0, **headers: str
) -> bytes:
    """The head of a request; ``_`` in the names of headers stands for ``-``."""
    fields = {"Host": "localhost", "Content-Length": str(length)}
    if token is not None:
        fields["Authorization"] = f"Bearer {token}"
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def generate(load: Load) -> Outcome:
    """Send ``load``. Each connection sends one request before, so that caches and pools are warm.

    Raises:
        AnswerError: an answer was not 2xx.
    """
    clients = [_Client(load) for _ in range(load.connections)]
    threads = [threading.Thread(target=client.run) for client in clients]
    for client in clients:
        client.open()
    cpu, started = cpu_seconds(load.served_by), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, cpu = time.perf_counter() - started, cpu_seconds(load.served_by) - cpu
    for client in clients:
        client.close()
    latencies = [latency for client in clients for latency in client.latencies]
    return Outcome(len(latencies), seconds, cpu, latencies)


class _Client:
    """One connection."""

    def __init__(self, load: Load) -> None:
        self.latencies: list[float] = []
        self._load = load
        self._requests = cycle(load.requests)
        self._socket = socket.create_connection(("127.0.0.1", load.port), timeout=TIMEOUT)
        if load.certificates is not None:
            context = load.certificates.context()
            self._socket = context.wrap_socket(self._socket, server_hostname="127.0.0.1")
        self._buffer = memoryview(bytearray(BUFFER_SIZE))
        self._failure: Exception | None = None

    def open(self) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._exchange(next(self._requests))

    def run(self) -> None:
        try:
            self._repeat()
        except Exception as error:
            self._failure = error

    def close(self) -> None:
        self._socket.close()
        if self._failure is not None:
            raise self._failure

    def _repeat(self) -> None:
        now = time.perf_counter()
        deadline = now + self._load.seconds
        while now < deadline and len(self.latencies) < self._load.count:
            self._exchange(next(self._requests))
            before, now = now, time.perf_counter()
            self.latencies.append(now - before)

    def _exchange(self, request: Request) -> None:
        head = request.head.replace(ID, str(new_file_id()).encode()) if ID in request.head else request.head
        if request.body_size <= MIB:
            self._socket.sendall(head + (request.body or _BLOCK[: request.body_size]))
        else:
            self._socket.sendall(head)
            for start in range(0, request.body_size, MIB):
                self._socket.sendall(_BLOCK[: min(MIB, request.body_size - start)])
        self._receive()

    def _receive(self) -> None:
        received = 0
        while (end := bytes(self._buffer[:received]).find(b"\r\n\r\n")) < 0:
            received += self._receive_some(self._buffer[received:])
        head = bytes(self._buffer[:end])
        length = _CONTENT_LENGTH.search(head)
        if head[9:10] != b"2" or length is None:
            raise AnswerError(bytes(self._buffer[:received]).decode(errors="replace"))
        left = int(length[1]) - (received - end - 4)
        while left > 0:
            left -= self._receive_some(self._buffer[: min(left, BUFFER_SIZE)])

    def _receive_some(self, buffer: memoryview) -> int:
        received = self._socket.recv_into(buffer)
        if not received:
            raise AnswerError("the server closed the connection")
        return received
