"""Checks the catalog against the storage while the element serves: begins, goes on after a stop, gives up."""

from contextlib import suppress
from typing import Final, get_args

from artstore.core.inspection import ConsistencyReport, ConsistencyStatus, Finding, FindingKind
from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError, Database
from artstore.services.storage_element.background import Background
from artstore.services.storage_element.catalog_work import load_work
from artstore.services.storage_element.consistency import NAME, Check, Progress
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.findings import list_findings

_log: Final = get_logger("element")


class Checker:
    """At most one check at a time."""

    def __init__(self, element: Element, database: Database) -> None:
        self._element = element
        self._database = database
        self._status = ConsistencyStatus()
        self._work = Background()

    @property
    def is_busy(self) -> bool:
        return self._work.is_busy

    async def open(self) -> None:
        """Go on with what a stop interrupted."""
        progress = await load_work(self._database, NAME, Progress)
        if progress is None:
            return
        self._report(progress.status)
        if progress.status.state == "running":
            self._run(Check(self._element, self._database, progress, self._report))

    async def close(self) -> None:
        """Stop; the next start goes on."""
        await self._work.stop()

    async def start(self, *, verify: bool) -> ConsistencyStatus:
        """Begin, unless one is under way."""
        async with self._work.turn:
            if not self._work.is_busy:
                self._run(
                    await Check.begin(self._element, self._database, verify=verify, report=self._report)
                )
            return self._status

    async def cancel(self) -> ConsistencyStatus:
        """Give up what is under way, if anything; what was found so far is kept."""
        async with self._work.turn:
            if await self._work.stop() and self._check.status.state == "running":
                await self._check.end("cancelled")
            return self._status

    async def report(self, *, examples: int) -> ConsistencyReport:
        """How far it is, with the first ``examples`` findings of each kind."""
        found: list[Finding] = []
        if examples:
            for kind in get_args(FindingKind):
                if kind in self._status.totals:
                    found += await list_findings(self._database, [kind], limit=examples)
        return ConsistencyReport(**dict(self._status), examples=found)

    def _run(self, check: Check) -> None:
        self._check = check
        self._work.begin(self._finish(check))

    async def _finish(self, check: Check) -> None:
        try:
            await check.run()
        except ArtStoreError as error:
            _log.error("consistency_check_failed", reason=error.detail)
            await self._give_up(check, error.detail)
        except Exception as error:
            _log.error("consistency_check_failed", exc_info=error)
            await self._give_up(check, type(error).__name__)

    async def _give_up(self, check: Check, reason: str) -> None:
        with suppress(ArtStoreError):
            await check.end("failed", reason=reason)

    def _report(self, status: ConsistencyStatus) -> None:
        self._status = status
        self._element.metrics.show_consistency(status)
