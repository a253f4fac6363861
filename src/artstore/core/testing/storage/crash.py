"""Level *crash*: a process is killed at any moment of its work; what it acknowledged is there, and whole."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from random import Random
from signal import SIGKILL
from typing import Any, ClassVar, Final

import pytest

from artstore.core.spec import NotFoundError, StorageBackend
from artstore.core.testing.bodies import body
from artstore.core.testing.storage.crash_work import Order, Step, Version
from artstore.core.testing.storage.opening import StorageOpening
from artstore.core.testing.storage.subject import read

BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from artstore.core.testing.storage.crash_work import main; main()"
)
"""Finds what this process finds, test modules too."""

LONGEST_LINE: Final = 1024 * 1024


class StorageCrashContract:
    """Override ``opening`` with how another process opens the back end, at first empty.

    A child process puts, replaces, deletes and batches, and is killed: at events of its work (an opening,
    a call, a chunk of a body, an acknowledgement) spread over the whole of it, and up to
    ``longest_delay`` after them. Then the back end is opened again and looked at, and the next child
    goes on with what is there.

    Every fact counts: without ``durable_put`` what was acknowledged may be older or gone, but is whole;
    without ``atomic_put`` the object that was being put may be anything.
    """

    kills: ClassVar[int] = 20
    """How often it is killed."""

    longest_delay: ClassVar[float] = 0.01
    """Seconds; about as long as the back end takes for one object."""

    @pytest.fixture
    def opening(self) -> StorageOpening:
        """How another process opens the back end."""
        raise NotImplementedError("override this fixture")

    async def test_whatever_is_killed_what_was_acknowledged_is_whole_and_nothing_is_half_there(
        self, opening: StorageOpening
    ) -> None:
        await asyncio.to_thread(opening.provider)
        survivor = Survivor(opening)
        async with mortal_process(opening) as process:
            whole_run = await process.run(Order(run=0, event=None), survivor)
            assert whole_run.exit_code == 0
            await survivor.check()
            killed = 0
            for order in orders(self.kills, events=whole_run.events, longest_delay=self.longest_delay):
                killed += (await process.run(order, survivor)).exit_code == -SIGKILL
                await survivor.check()

        assert killed >= self.kills // 2
        assert survivor.acknowledged > 0


def orders(kills: int, *, events: int, longest_delay: float) -> Iterator[Order]:
    """Every event in turn, or as many as there are kills, evenly; every other kill comes a little later."""
    random = Random(kills)  # noqa: S311 - repeatable on purpose
    for number in range(kills):
        delay = random.uniform(0, longest_delay) if number % 2 else 0.0
        yield Order(run=number + 1, event=number * events // kills, delay=delay)


class Survivor:
    """What must be there after what was told, and a look whether it is."""

    def __init__(self, opening: StorageOpening) -> None:
        self._opening = opening
        self._kept: dict[str, Version | None] = {}
        self._ever: dict[str, list[Version | None]] = {}
        self._pending: dict[int, Step] = {}
        self.acknowledged = 0

    def begin(self, stream: int, step: Step) -> None:
        """From now on the step may have happened."""
        self._pending[stream] = step
        for key, version in step.items():
            self._ever.setdefault(key, [None]).append(version)

    def acknowledge(self, stream: int, step: Step) -> None:
        """From now on the step has happened."""
        del self._pending[stream]
        self._kept.update(step)
        self.acknowledged += 1

    async def check(self) -> None:
        """Open the back end as the next process would.

        Raises:
            AssertionError: something is lost, half there, or not to be there at all.
        """
        async with self._opening.open() as storage:
            found = {key: await self._version(storage, key) for key in self._ever}
            self._check_content(storage, found)
            await self._check_listing(storage, found)
            await storage.put("works-again", body(b"content"))
            await storage.delete("works-again")
        self._kept = found
        self._pending.clear()

    def _check_content(self, storage: StorageBackend, found: dict[str, Version | None]) -> None:
        durable = storage.capabilities.durable_put
        pending = {key for step in self._pending.values() for key in step}
        for key in found.keys() - pending:
            expected = [self._kept.get(key)] if durable else self._ever[key]
            assert found[key] in expected, f"{key} was acknowledged as {expected}, but has {found[key]}"
        for step in self._pending.values():
            before = {key: self._kept.get(key) for key in step}
            after = {key: found[key] for key in step}
            if durable:
                assert after in (before, dict(step)), f"neither {before} nor {step}, but {after}"

    async def _check_listing(self, storage: StorageBackend, found: dict[str, Version | None]) -> None:
        listing = [(info.key, info.size) async for info in storage.list()]
        assert listing == sorted((key, version.size) for key, version in found.items() if version is not None)

    async def _version(self, storage: StorageBackend, key: str) -> Version | None:
        """Which of all versions that the key ever had it has now."""
        try:
            content = await read(storage.get(key))
        except NotFoundError:
            return None
        for version in reversed(self._ever[key]):
            if version is not None and version.size == len(content) and version.content() == content:
                return version
        if not storage.capabilities.atomic_put:
            return Version("half there", len(content))
        raise AssertionError(f"{key} has {len(content)} bytes that were never put as a whole")


@dataclass
class Life:
    """How a run ended: ``events`` only if nothing killed it."""

    events: int = 0
    exit_code: int = 0


class MortalProcess:
    """A process that works as it is ordered and may be killed by that."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout

    async def run(self, order: Order, survivor: Survivor) -> Life:
        """Tell ``survivor`` what was begun and acknowledged until the end."""
        self.send(json.dumps(asdict(order)))
        life = Life()
        while True:
            line = await self._stdout.readline()
            assert line, "the process that should have been killed ended by itself"
            facts = json.loads(line)
            if "begun" in facts:
                survivor.begin(facts["stream"], _step(facts["begun"]))
            elif "done" in facts:
                survivor.acknowledge(facts["stream"], _step(facts["done"]))
            elif "events" in facts:
                life.events = facts["events"]
            elif "failed" in facts:
                raise AssertionError(f"in {order}: {facts['failed']}")
            else:
                life.exit_code = facts["ended"]
                return life

    def send(self, line: str) -> None:
        """One line on its standard input."""
        self._stdin.write(line.encode() + b"\n")


@asynccontextmanager
async def mortal_process(opening: StorageOpening) -> AsyncGenerator[MortalProcess, None]:
    """It ends with the context."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", BOOT, json.dumps(sys.path)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LONGEST_LINE,
        start_new_session=True,
    )
    try:
        mortal = MortalProcess(process)
        mortal.send(opening.to_json())
        yield mortal
    finally:
        # With the process that it has forked: that one holds its output, and might be stuck.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, SIGKILL)
        await process.communicate()


def _step(told: dict[str, dict[str, Any] | None]) -> Step:
    return {key: None if version is None else Version(**version) for key, version in told.items()}
