"""What a process does before it is killed: puts, replacements, deletions and batches, told line by line.

Run as a process of its own by :mod:`artstore.core.testing.storage.crash`. It imports the plugin once and
then forks for each order that it reads, so that a kill costs no start of an interpreter.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import shake_128
from random import Random
from typing import Any, Final

from artstore.core.spec import StorageBackend
from artstore.core.testing.storage.opening import StorageOpening

STREAMS: Final = 2
STEPS: Final = 8
KEYS: Final = 3
SIZES: Final = (0, 100, 10_000, 10_000, 200_000, 1_300_000)
CHUNK_SIZE: Final = 100_000
_TOLD: Final = 100
"""The file descriptor that was standard output."""


@dataclass(frozen=True, slots=True)
class Version:
    """What was put under a key once: its bytes follow from its name and size."""

    name: str
    size: int

    def content(self) -> bytes:
        """The bytes."""
        return shake_128(self.name.encode()).digest(self.size)


@dataclass(frozen=True, slots=True)
class Order:
    """One run: what is done follows from ``run``; it is killed ``delay`` seconds after the n-th event."""

    run: int
    event: int | None
    delay: float = 0.0


Step = Mapping[str, Version | None]
"""New versions of keys; ``None`` deletes. More than one key is a batch."""


class Fuse:
    """Kills this process some time after a given number of events."""

    def __init__(self, order: Order) -> None:
        self.events = 0
        self._order = order

    def burn(self) -> None:
        """One more event."""
        if self.events == self._order.event:
            if not self._order.delay:
                end_at_once()
            threading.Timer(self._order.delay, end_at_once).start()
        self.events += 1


def end_at_once() -> None:
    """As ``kill -9`` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """The first line on standard input is the opening, every other an order."""
    opening = StorageOpening.from_json(sys.stdin.readline())
    opening.provider()
    _keep_output_for_telling()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _end(opening, Order(**json.loads(line)))
        _, status = os.waitpid(child, 0)
        tell(ended=os.waitstatus_to_exitcode(status))


def _end(opening: StorageOpening, order: Order) -> None:
    """The life of a forked process, which never returns to the loop above."""
    try:
        asyncio.run(work(opening, order))
        os._exit(0)
    except BaseException as error:
        tell(failed=f"{type(error).__name__}: {error}")
        os._exit(1)


async def work(opening: StorageOpening, order: Order) -> None:
    """Everything that one order says, unless the end comes before."""
    fuse = Fuse(order)
    fuse.burn()
    async with opening.open() as storage:
        fuse.burn()
        async with asyncio.TaskGroup() as group:
            for stream in range(STREAMS):
                group.create_task(work_off(storage, order.run, stream, fuse))
    tell(events=fuse.events)


async def work_off(storage: StorageBackend, run: int, stream: int, fuse: Fuse) -> None:
    """One step after the other; no other stream has the same keys."""
    for step in steps(run, stream, has_batches=storage.capabilities.atomic_batch is not None):
        told = {key: version and asdict(version) for key, version in step.items()}
        tell(begun=told, stream=stream)
        fuse.burn()
        await take(storage, step, fuse)
        tell(done=told, stream=stream)
        fuse.burn()


async def take(storage: StorageBackend, step: Step, fuse: Fuse) -> None:
    """Do what a step says."""
    if len(step) > 1:
        assert storage.capabilities.atomic_batch is not None
        await storage.capabilities.atomic_batch.put_batch(
            {key: version.content() for key, version in step.items() if version is not None}
        )
        return
    for key, version in step.items():
        if version is None:
            await storage.delete(key)
        else:
            await storage.put(key, _chunks(version.content(), fuse))


def steps(run: int, stream: int, *, has_batches: bool) -> Iterator[Step]:
    """The same for the same arguments, in every process."""
    random = Random(f"{run} {stream}")  # noqa: S311 - repeatable on purpose
    keys = [f"stream-{stream}/{number}" for number in range(KEYS)]
    for number in range(STEPS):
        version = _version(f"{run} {stream} {number}", random.choice(SIZES))
        key = random.choice(keys)
        if random.random() < 0.2:
            yield {key: None}
        elif has_batches and random.random() < 0.5:
            name = f"stream-{stream}/batch-{random.randrange(2)}"
            small = _version(version.name, min(version.size, 10_000))
            yield {name: small, f"{name}.attr.json": Version(f"{version.name} beside", 500)}
        else:
            yield {key: version}


def _version(name: str, size: int) -> Version:
    """Nothing is nothing, whatever it is called: what is there could not be told apart."""
    return Version(name if size else "empty", size)


async def _chunks(content: bytes, fuse: Fuse) -> AsyncIterator[bytes]:
    for start in range(0, len(content), CHUNK_SIZE):
        await asyncio.sleep(0)
        fuse.burn()
        yield content[start : start + CHUNK_SIZE]


def tell(**facts: Any) -> None:
    """One line for the parent, at once: a kill must not cut it."""
    os.write(_TOLD, json.dumps(facts).encode() + b"\n")


def _keep_output_for_telling() -> None:
    """What anybody else prints, a logger above all, goes to standard error."""
    os.dup2(1, _TOLD)
    os.dup2(2, 1)


if __name__ == "__main__":
    main()
