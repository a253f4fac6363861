"""A misfortune at one change of the disk after the other, each time on a new root, and what is left then."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any, Final

from aiohttp import ClientError

from tests.services.storage_element.accounts import assert_recorded
from tests.services.storage_element.harness import ElementClient
from tests.services.storage_element.holding import HOLDS
from tests.services.storage_element.mortality import Kind, Misfortune
from tests.services.storage_element.nursery import Nursery
from tests.services.storage_element.work import FILES, LARGE, Course, Told

DEADLY: Final[Sequence[Kind]] = ("killed", "power cut")
SURVIVED: Final[Sequence[Kind]] = ("failed sync", "full disk", "short write", "read-only disk")
PATIENCE: Final = 10.0
"""Seconds within which an element that is healed works again."""
COURSES: Final = {"files": FILES, "holds": HOLDS}
"""What is asked for: all that changes files, and all that keeps them."""
LOGS: Final = {"log": 16 * 1024 * 1024, "no log": 0}
HEADER: Final = (
    "| misfortune | commit log | course | points | files acknowledged | files whole | violations |\n"
    "|---|---|---|---|---|---|---|"
)


@dataclass
class Tally:
    """What came of a sweep."""

    points: int = 0
    acknowledged: int = 0
    whole: int = 0
    violations: list[str] = field(default_factory=list[str])

    def row(self, *labels: str) -> str:
        numbers = (self.points, self.acknowledged, self.whole, len(self.violations))
        return f"| {' | '.join((*labels, *map(str, numbers)))} |"


@dataclass
class Sweep:
    """One kind of misfortune at every step that is asked for, until one is never reached."""

    nursery: Nursery
    jwks_url: str
    directory: Path
    kind: Kind
    log_size: int
    course: Course

    async def run(self, following: Callable[[int], int], *, first: int = 1) -> Tally:
        tally, step = Tally(), first
        while await self._happens_at(step, tally):
            tally.points += 1
            step = following(step)
        return tally

    async def _happens_at(self, step: int, tally: Tally) -> bool:
        data, told = self.directory / str(step), Told()
        graveyard = self.directory / f"graveyard-{step}"
        for directory in (data, graveyard):
            directory.mkdir(parents=True)
        misfortune = Misfortune(self.kind, step, str(graveyard))
        has_happened = True
        try:
            has_happened = await self._live_through(data, misfortune, told)
            if self.kind == "power cut":
                # The catalog is written without waiting for the disk: it is not believed after a power cut.
                for path in (data / "storage" / ".artstore").glob("catalog.db*"):
                    path.unlink()
            await self._look(data, step, told)
        except (AssertionError, TimeoutError) as error:
            tally.violations.append(f"{self.kind} at {step}: {error!r}")
        else:
            await asyncio.to_thread(rmtree, data)
        await asyncio.to_thread(rmtree, graveyard)
        tally.acknowledged += told.files_acknowledged
        tally.whole += told.files_whole
        return has_happened

    async def _live_through(self, data: Path, misfortune: Misfortune, told: Told) -> bool:
        """Work until the end; whether the misfortune happened."""
        try:
            async with self.nursery.element(data, self.jwks_url, misfortune, **self._sections) as child:
                try:
                    await self.course.work(child.client, told)
                    if self.kind in SURVIVED:
                        child.heal()
                        await self._recover(child.client, told)
                except (ClientError, ConnectionError):
                    assert self.kind in DEADLY, "the process ended"
                return await child.stop() != 0
        except ProcessLookupError:
            return True

    async def _recover(self, element: ElementClient, told: Told) -> None:
        """What is healed works again; but a log whose sync failed takes nothing more before a restart."""
        if self.kind == "failed sync" and self.log_size:
            return
        async with asyncio.timeout(PATIENCE):
            # Another process: there is no event to wait for.
            while (await element.put(b"healed")).status != 201:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            assert (await element.put(LARGE)).status == 201
            await element.wait_for_metric("artstore_element_wal_pending", 0)
        await self.course.check(element, told)

    async def _look(self, data: Path, step: int, told: Told) -> None:
        """Killed while it recovers, at a step that is different each time; then left in peace."""
        again = Misfortune("killed", step % 7 + 1) if self.kind in DEADLY else None
        if again is not None:
            try:
                async with self.nursery.element(data, self.jwks_url, again, **self._sections):
                    pass
            except ProcessLookupError:
                pass
        async with self.nursery.element(data, self.jwks_url, **self._sections) as child:
            left = await self.course.check(child.client, told)
            if self.kind != "power cut":  # with the catalog went what it knew of who had asked for what
                assert_recorded(data, await child.client.placed_files())
            # With the catalog went what it knew of large data on its way to its sidecar, or from it.
            assert len(left) <= (self.kind == "power cut"), left
            assert (await child.client.put(b"more")).status == 201

    @property
    def _sections(self) -> dict[str, Any]:
        return {
            "storage": {"type": "local", "root": "storage", "commit_log_size": self.log_size},
            "element": self.course.settings,
        }
