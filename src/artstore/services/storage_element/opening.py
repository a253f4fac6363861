"""Opens a storage element: whose root it is, what is free, what was interrupted; then looks after it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Final

from aiohttp import web

from artstore.core.capacity import DEFAULT_THRESHOLDS
from artstore.core.config import Settings
from artstore.core.http.verification import RecentlyVerified
from artstore.core.keys import AUDIT, CATALOG, HEALTH, METRICS, SETTINGS, STORAGE
from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError, ConfigurationError, StorageBackend
from artstore.services.storage_element.activity import Activity
from artstore.services.storage_element.catalog import Catalog
from artstore.services.storage_element.catalog_opening import open_catalog
from artstore.services.storage_element.catalog_records import Intent
from artstore.services.storage_element.clock import SystemClock
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.fencing import FencedDatabase, FencedStorage
from artstore.services.storage_element.fixity import Fixity
from artstore.services.storage_element.fixity_metrics import FixityMetrics
from artstore.services.storage_element.identity import RootIdentity, open_identity, require_known_root
from artstore.services.storage_element.jobs import Jobs
from artstore.services.storage_element.keys import CLOCK
from artstore.services.storage_element.lease import RootLease, hold_root
from artstore.services.storage_element.locks import FileLocks
from artstore.services.storage_element.metrics import ElementMetrics
from artstore.services.storage_element.proposals import Proposals
from artstore.services.storage_element.recovery import Recovery
from artstore.services.storage_element.restores import open_restores
from artstore.services.storage_element.room import Room
from artstore.services.storage_element.scrub import scrub
from artstore.services.storage_element.trusted_time import TrustedTime

UPKEEP_INTERVAL: Final = 5.0
"""Seconds between two looks at the free space and at what was left pending."""
_log: Final = get_logger("element")


@asynccontextmanager
async def open_element(app: web.Application) -> AsyncGenerator[Element, None]:
    """The element of ``app``, recovered and ready to serve.

    Raises:
        ConfigurationError: the storage or the catalog is not fit, or another element's, or in use.
    """
    settings, storage = app[SETTINGS], app[STORAGE]
    _require_abilities(storage, settings)
    await require_known_root(storage, app[CATALOG], settings.element)
    async with hold_root(storage, settings.element) as lease:
        # From here on, whoever asks the application for them gets no others.
        app[STORAGE], app[CATALOG] = FencedStorage(storage, lease), FencedDatabase(app[CATALOG], lease)
        async with _open_root(app, lease) as element:
            yield element


@asynccontextmanager
async def _open_root(app: web.Application, lease: RootLease) -> AsyncGenerator[Element, None]:
    storage = app[STORAGE]
    root = RootIdentity(storage, await open_identity(storage, app[SETTINGS].element))
    metrics = ElementMetrics(app[METRICS].registry)
    async with open_catalog(app[CATALOG], storage, root, metrics, trail=app.get(AUDIT)) as catalog:
        await root.count_start()
        element = await _make_element(app, root, catalog, lease, metrics)
        await element.look_at_space()
        _report(app, element)
        async with _at_work(element):
            yield element


async def _make_element(
    app: web.Application, root: RootIdentity, catalog: Catalog, lease: RootLease, metrics: ElementMetrics
) -> Element:
    """Join the parts."""
    settings, storage, clock = app[SETTINGS].element, app[STORAGE], app.get(CLOCK, SystemClock())
    tolerance = timedelta(hours=settings.collection.clock_tolerance)
    return Element(
        root=root,
        settings=settings,
        storage=storage,
        storage_type=app[SETTINGS].storage.type,
        catalog=catalog,
        room=Room(storage, settings.capacity or DEFAULT_THRESHOLDS[root.now.mode]),
        locks=FileLocks(),
        recovery=Recovery(storage, catalog, metrics, root, trail=app.get(AUDIT)),
        lease=lease,
        metrics=metrics,
        activity=Activity(),
        jobs=Jobs(metrics.job_failures),
        proposals=Proposals(),
        restores=await open_restores(
            app[CATALOG], clock, element_id=root.now.element_id, keep_days=settings.restored_days
        ),
        verified=RecentlyVerified(lifetime=settings.fixity.downloads_verified_for),
        fixity=await Fixity.open(app[CATALOG], settings.fixity, FixityMetrics(app[METRICS].registry)),
        clock=clock,
        time=await TrustedTime.open(storage, clock, tolerance=tolerance, is_new_root=catalog.is_new),
    )


@asynccontextmanager
async def _at_work(element: Element) -> AsyncGenerator[None, None]:
    """Run the jobs of an element in the background."""
    async with asyncio.TaskGroup() as tasks:
        upkeep = partial(_look_after, element)
        running = [
            tasks.create_task(element.jobs.repeat("upkeep", upkeep, every=UPKEEP_INTERVAL)),
            tasks.create_task(scrub(element)),
        ]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


def _require_abilities(storage: StorageBackend, settings: Settings) -> None:
    """Without atomic objects a crash could leave half a file that looks whole."""
    if not storage.capabilities.atomic_put:
        raise ConfigurationError(
            f"the element role needs a storage with atomic_put, which {settings.storage.type} has not: "
            f"choose another type in [storage]"
        )
    if not storage.capabilities.durable_put:
        _log.warning("storage_not_durable", storage=settings.storage.type)


def _report(app: web.Application, element: Element) -> None:
    """Let health and metrics see the element."""
    catalog = element.catalog
    app[HEALTH].add("storage", lambda: _probe_storage(element))
    app[HEALTH].add("lease", element.lease.probe)
    app[HEALTH].add("catalog", catalog.probe)
    app[HEALTH].add("jobs", element.jobs.probe, required=False)
    app[HEALTH].add("writing", element.lease.probe_writing, required=False)
    element.metrics.watch(
        files=lambda: catalog.file_count,
        journal_position=lambda: catalog.last_sequence,
        wal_pending=lambda: len(catalog.pending),
        restores_queued=lambda: element.restores.queued,
    )
    element.metrics.watch_lease(element.lease)


async def _probe_storage(element: Element) -> str:
    capacity = await element.look_at_space()
    free = "" if capacity.free is None else f", {capacity.free} bytes free"
    return f"{capacity.status}{free}"


async def _look_after(element: Element) -> None:
    try:
        await element.look_at_space()
    except ArtStoreError as error:
        _log.warning("storage_not_seen", reason=error.detail)
    for intent in list(element.catalog.pending.values()):
        await _settle_leftover(element, intent)
    await element.catalog.write_recorded()


async def _settle_leftover(element: Element, intent: Intent) -> None:
    """What is locked is under way and no leftover."""
    lock = element.locks[intent.file_id]
    if lock.locked():
        return
    async with lock:
        if element.catalog.pending.get(intent.file_id) is intent:
            await element.recovery.try_to_settle(intent)
