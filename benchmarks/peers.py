"""The limits: scripts that do the bare work and nothing else, each run in a process of its own."""

import asyncio
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from benchmarks.comparison import Sample

MIB: Final = 1024 * 1024
SIDECAR: Final = b"x" * 600


def write_durably(directory: Path, *, size: int, threads: int, seconds: float) -> Sample:
    """Files with sidecars per second: write and fsync both, rename both, fsync their directory."""
    tree = directory / f"bare-{time.time_ns()}"
    tree.mkdir(parents=True)
    data = os.urandom(size)

    def work(number: int) -> None:
        path = f"{tree}/{number}"
        _stage(path, data)
        _stage(f"{path}.attr.json", SIDECAR)
        _sync_directory(f"{tree}")

    return _repeated(work, threads=threads, seconds=seconds)


def hash_and_write(directory: Path, *, size: int, files: int) -> Sample:
    """MiB per second: one thread that hashes and writes a file, with its sidecar, durably."""
    tree = directory / f"bare-{time.time_ns()}"
    tree.mkdir(parents=True)
    block = os.urandom(MIB)
    cpu, started = time.process_time(), time.perf_counter()
    for number in range(files):
        _hash_and_write(f"{tree}/{number}", block, blocks=size // MIB)
        _stage(f"{tree}/{number}.attr.json", SIDECAR)
        _sync_directory(str(tree))
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    shutil.rmtree(tree)
    return Sample(rate=files * size / MIB / seconds, cpu=cpu / (files * size / MIB))


def read_and_hash(paths: Sequence[Path]) -> Sample:
    """MiB per second: one thread that reads files, which are not in the page cache, and hashes them."""
    for path in paths:
        _evict(path)
    cpu, started = time.process_time(), time.perf_counter()
    size = sum(_read_and_hash(path) for path in paths) / MIB
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return Sample(rate=size / seconds, cpu=cpu / size)


def sign(*, key_size: int, seconds: float) -> Sample:
    """RSA signatures per second of one thread, over what a token would be."""
    key = generate_private_key(public_exponent=65537, key_size=key_size)
    payload = os.urandom(600)
    return _repeated(lambda _: key.sign(payload, PKCS1v15(), hashes.SHA256()), threads=1, seconds=seconds)


@dataclass(frozen=True, slots=True)
class FileServer:
    """A server that sends one file from the kernel to whatever it is asked."""

    process_id: int
    port: int


@contextmanager
def file_server(path: Path) -> Generator[FileServer, None, None]:
    """:class:`FileServer` in a child process."""
    context = get_context("spawn")
    ours, theirs = Pipe()
    process = context.Process(target=_serve, args=(path, theirs), daemon=True)
    process.start()
    try:
        yield FileServer(process_id=process.pid or 0, port=ours.recv())
    finally:
        process.terminate()
        process.join()


def _stage(path: str, data: bytes) -> None:
    descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(descriptor, data)
    os.fsync(descriptor)
    os.close(descriptor)
    os.rename(f"{path}.new", path)


def _hash_and_write(path: str, block: bytes, *, blocks: int) -> None:
    digest = hashlib.sha256()
    descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    for _ in range(blocks):
        digest.update(block)
        os.write(descriptor, block)
    os.fsync(descriptor)
    os.close(descriptor)
    os.rename(f"{path}.new", path)


def _evict(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def _read_and_hash(path: Path) -> int:
    """The number of bytes."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(MIB):
            digest.update(chunk)
            size += len(chunk)
    return size


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)


def _repeated(work: Callable[[int], object], *, threads: int, seconds: float) -> Sample:
    """Calls of ``work`` per second, each with another number."""
    numbers, done = count(), count()

    def repeat() -> None:
        while time.perf_counter() < deadline:
            work(next(numbers))
            next(done)

    workers = [threading.Thread(target=repeat) for _ in range(threads)]
    cpu, started = time.process_time(), time.perf_counter()
    deadline = started + seconds
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    units = next(done)
    return Sample(rate=units / elapsed, cpu=cpu / units)


def _serve(path: Path, port: Connection) -> None:
    asyncio.run(_serve_file(path, port))


async def _serve_file(path: Path, port: Connection) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Sender(path), "127.0.0.1", 0)
    port.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


class _Sender(asyncio.Protocol):
    """Answers every request head with the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(b"\r\n\r\n"):
            self._received = b""
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        with self._path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            self._transport.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
            await asyncio.get_running_loop().sendfile(self._transport, file, 0, size, fallback=False)
