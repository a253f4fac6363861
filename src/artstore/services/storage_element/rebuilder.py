"""Rebuilds the catalog while the element serves: begins, goes on after a stop, gives up."""

import asyncio
import uuid
from contextlib import suppress
from typing import Final

from artstore.core.inspection import RebuildStatus
from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError, Database
from artstore.services.storage_element.background import Background
from artstore.services.storage_element.catalog_schema import drop_old
from artstore.services.storage_element.catalog_work import load_work
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.rebuild import NAME, Base, Progress, Rebuild

_log: Final = get_logger("element")


class Rebuilder:
    """At most one rebuild at a time."""

    def __init__(self, element: Element, database: Database) -> None:
        self._element = element
        self._database = database
        self._status = RebuildStatus()
        self._work = Background()

    @property
    def status(self) -> RebuildStatus:
        """Of the rebuild under way, or else of the last one."""
        return self._status

    async def open(self) -> None:
        """Go on with what a stop interrupted."""
        progress = await load_work(self._database, NAME, Progress)
        if progress is None:
            return
        self._status = progress.status
        epoch = self._element.catalog.epoch
        if progress.may_go_on(base_epoch=epoch, starts=self._element.identity.starts):
            self._run(Rebuild(self._element.storage, self._database, progress, self._report))

    async def close(self) -> None:
        """Stop; the next start goes on."""
        await self._work.stop()

    async def start(self, *, accept_loss: bool = False) -> RebuildStatus:
        """Begin, unless one is under way. ``accept_loss``: even if it lacks much that the catalog knows."""
        async with self._work.turn:
            if not self._work.is_busy:
                await self._element.root.require_present()
                catalog = self._element.catalog
                last = catalog.last_sequence
                rebuild = await Rebuild.begin(
                    self._element.storage,
                    self._database,
                    base=Base(epoch=catalog.epoch, began=last, carried=last),
                    starts=self._element.identity.starts,
                    report=self._report,
                    accept_loss=accept_loss,
                )
                self._run(rebuild)
            return self._status

    async def cancel(self) -> RebuildStatus:
        """Give up what is under way, if anything; the catalog stays as it is."""
        async with self._work.turn:
            if await self._work.stop() and self._rebuild.status.state == "running":
                await self._rebuild.give_up("cancelled")
            return self._status

    def _run(self, rebuild: Rebuild) -> None:
        self._rebuild = rebuild
        self._work.begin(self._finish(rebuild))

    async def _finish(self, rebuild: Rebuild) -> None:
        try:
            await rebuild.read()
            await self._element.root.require_present()
            await self._switch(rebuild)
        except ArtStoreError as error:
            _log.error("catalog_rebuild_failed", reason=error.detail)
            await self._give_up(rebuild, error.detail)
        except Exception as error:
            _log.error("catalog_rebuild_failed", exc_info=error)
            await self._give_up(rebuild, type(error).__name__)

    async def _switch(self, rebuild: Rebuild) -> None:
        """Once begun it is finished, whoever is cancelled: half of the element would not know of it."""
        catalog = self._element.catalog
        await rebuild.catch_up(catalog.last_sequence)
        await rebuild.require_most()
        epoch = uuid.uuid4().hex
        switching = asyncio.create_task(
            catalog.switch(
                lambda transaction: rebuild.put_in_place(
                    transaction, until=catalog.last_sequence, epoch=epoch
                ),
                epoch=epoch,
            )
        )
        try:
            await asyncio.shield(switching)
            with suppress(ArtStoreError):  # what is left then is dropped by the next rebuild
                await drop_old(self._database)
        finally:
            await asyncio.wait([switching])
            if catalog.epoch == epoch:
                rebuild.tell()

    async def _give_up(self, rebuild: Rebuild, reason: str) -> None:
        with suppress(ArtStoreError):
            await rebuild.give_up("failed", reason=reason)

    def _report(self, status: RebuildStatus) -> None:
        self._status = status
        self._element.metrics.show_rebuild(status)
