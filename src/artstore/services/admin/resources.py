"""What the admin application opens, in this order, from the back ends it is given."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

from aiohttp import web
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from artstore.core import migrations
from artstore.core.app import Resource
from artstore.core.audit.shipping import shipping
from artstore.core.keys import (
    AUDIT,
    CACHE,
    CLIENT,
    DATABASE,
    HEALTH,
    METRICS,
    RATES,
    REVOCATIONS,
    SECRETS,
    SETTINGS,
    STOPPING,
)
from artstore.core.repetition import repeat
from artstore.core.spec import ArtStoreError, ConfigurationError
from artstore.core.stores.leases import LeasesStore
from artstore.services.admin import account_census, account_usage, revocations
from artstore.services.admin.audit import Audit, make_audit
from artstore.services.admin.components import Components, make_components
from artstore.services.admin.keys import ADMIN, AUDIT_LOG
from artstore.services.admin.leased_job import LeasedJob


@asynccontextmanager
async def migrate(app: web.Application) -> AsyncGenerator[None, None]:
    """Bring the schema up to date before anything uses it."""
    database = app[DATABASE]
    try:
        await asyncio.to_thread(migrations.upgrade, database.url)
    except (CommandError, SQLAlchemyError) as error:
        reason = str(error).partition("\n")[0]  # what follows is SQL
        raise ConfigurationError(f"the database cannot be brought up to date: {reason}") from error

    async def probe() -> str:
        await database.fetch_one("SELECT 1 AS answer")
        return f"{database.dialect} answers"

    app[HEALTH].add("database", probe)
    yield


@asynccontextmanager
async def open_components(app: web.Application) -> AsyncGenerator[Components, None]:
    """Make the parts, and let the readiness tell of them."""
    components = await make_components(
        app[SETTINGS],
        secrets=app[SECRETS],
        cache=app[CACHE],
        rates=app[RATES],
        database=app[DATABASE],
        client=app[CLIENT],
        metrics=app[METRICS],
        revoked=app[REVOCATIONS],
        trail=app.get(AUDIT),
    )
    app[HEALTH].add("elements", components.elements.check, required=False)
    app[HEALTH].add("indexer", components.indexer.check, required=False)
    try:
        yield components
    finally:
        components.people.hashes.close()
        # The last request has been answered: nothing more will be counted.
        with suppress(ArtStoreError):
            await components.account_usage.write()


@asynccontextmanager
async def open_audit(app: web.Application) -> AsyncGenerator[Audit, None]:
    """Keep the audit log: put into it what this process spools, to the end of its last request."""
    trail = app.get(AUDIT)
    audit = await make_audit(
        app[SETTINGS].audit,
        secrets=app[SECRETS],
        database=app[DATABASE],
        client=app[CLIENT],
        metrics=app[METRICS],
        own_spool=None if trail is None else trail.spool,
    )
    app[HEALTH].add("audit-checkpoints", audit.keeper.check, required=False)
    if trail is None:
        yield audit
        return
    async with shipping(trail, audit.log.take) as shipper:
        app[HEALTH].add("audit", shipper.check, required=False)
        yield audit


@asynccontextmanager
async def run_jobs(app: web.Application) -> AsyncGenerator[None, None]:
    """Do the background jobs, or be ready to, until the server stops."""
    components, leases = app[ADMIN], LeasesStore(app[DATABASE])
    keys = components.signing_keys
    held = components.metrics.lease_held
    jobs = (
        LeasedJob("indexer", components.indexer.run, leases=leases, held=held).run,
        LeasedJob("finalizer", components.finalizer.run, leases=leases, held=held).run,
        LeasedJob("key-rotation", components.key_rotation.run, leases=leases, held=held).run,
        LeasedJob("element-watch", components.element_watch.run, leases=leases, held=held).run,
        LeasedJob("audit-keeper", app[AUDIT_LOG].keeper.run, leases=leases, held=held).run,
        partial(repeat, "account-census", components.account_census.count, every=account_census.INTERVAL),
        partial(repeat, "account-usage", components.account_usage.write, every=account_usage.WRITE_INTERVAL),
        partial(repeat, "revocations", components.revocations.look, every=revocations.LOOK_INTERVAL),
        partial(repeat, "signing-keys", keys.refresh, every=keys.refresh_interval),
    )

    async def run_until_stopping() -> None:
        running = [asyncio.create_task(job()) for job in jobs]
        try:
            await app[STOPPING].wait()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    # Jobs end when the server begins to stop, not when its last request has been answered: what they
    # wait for may be such a request.
    task = asyncio.create_task(run_until_stopping())
    try:
        yield
    finally:
        # Not cancelled: jobs that are ending would be cancelled again, and leave their leases behind.
        app[STOPPING].set()
        await task


RESOURCES: Final = (
    Resource(None, migrate),
    Resource(AUDIT_LOG, open_audit),
    Resource(ADMIN, open_components),
    Resource(None, run_jobs),
)
