"""Opens the catalog: recovers what was interrupted, or builds it again when it cannot be trusted."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

from artstore.core.attribute_fields import format_timestamp
from artstore.core.audit.trail import AuditTrail
from artstore.core.logging import get_logger
from artstore.core.spec import ConfigurationError, Database, StorageBackend, UnavailableError
from artstore.services.storage_element.catalog import Catalog
from artstore.services.storage_element.catalog_schema import FORMAT, read_meta, write_meta
from artstore.services.storage_element.clock import SystemClock
from artstore.services.storage_element.identity import Identity, RootIdentity
from artstore.services.storage_element.metrics import ElementMetrics
from artstore.services.storage_element.rebuild import build_before_serving
from artstore.services.storage_element.recovery import Recovery

_log: Final = get_logger("element")


@asynccontextmanager
async def open_catalog(
    database: Database,
    storage: StorageBackend,
    root: RootIdentity,
    metrics: ElementMetrics,
    *,
    trail: AuditTrail | None,
) -> AsyncGenerator[Catalog, None]:
    """The catalog of the root, complete and ready to be written.

    The catalog is written without waiting for the disk, since it can be lost. So after a power cut it
    may lack what was acknowledged last. Therefore each start leaves its number in the catalog, and then,
    durably, in the identity of the root; a clean stop is noted; what does not add up is built again.

    Raises:
        ConfigurationError: the catalog is another element's.
        UnavailableError: it has to be built, and the storage is away.
    """
    identity = root.now
    boot = await asyncio.to_thread(SystemClock().boot)
    meta = await read_meta(database)
    _check_owner(meta, identity)
    if _is_of_root(meta, identity):
        catalog = await Catalog.load(database, epoch=meta["epoch"])
        await _recover(catalog, Recovery(storage, catalog, metrics, root, trail=trail))
    if not _is_trustworthy(meta, identity, boot=boot):
        _log.info("catalog_not_trusted", reason="new" if not meta else "may lack what was stored last")
        epoch = await build_before_serving(storage, database, root, report=metrics.show_rebuild)
        meta = {"epoch": epoch}
    await write_meta(database, _meta(identity, epoch=meta["epoch"], boot=boot))
    catalog = await Catalog.load(database, epoch=meta["epoch"])
    try:
        yield catalog
    finally:
        await catalog.close()
        stopped = {**_meta(identity, epoch=catalog.epoch, boot=boot), "stopped": "cleanly"}
        # Another process may have the root, and with it the catalog.
        with suppress(UnavailableError):
            await write_meta(database, stopped)


def _meta(identity: Identity, *, epoch: str, boot: str) -> dict[str, str]:
    return {
        "format": FORMAT,
        "epoch": epoch,
        "element_id": identity.element_id,
        "root_created_at": format_timestamp(identity.created_at),
        "starts": str(identity.starts + 1),
        "boot": boot,
    }


def _check_owner(meta: Mapping[str, str], identity: Identity) -> None:
    owner = meta.get("element_id", identity.element_id)
    if owner != identity.element_id:
        raise ConfigurationError(
            f"the catalog belongs to element {owner}, not to {identity.element_id}: "
            f"choose another database in [catalog], or delete this one"
        )


def _is_of_root(meta: Mapping[str, str], identity: Identity) -> bool:
    """Whether it is a catalog of this very root, in the format of this release."""
    created_at = format_timestamp(identity.created_at)
    return meta.get("format") == FORMAT and meta["root_created_at"] == created_at


def _is_trustworthy(meta: Mapping[str, str], identity: Identity, *, boot: str) -> bool:
    """Whether it has all that the last start of this root wrote to it."""
    if not _is_of_root(meta, identity) or int(meta["starts"]) < identity.starts:
        return False
    # A process that was killed leaves what it wrote to the kernel; a machine that went down does not.
    return meta.get("stopped") == "cleanly" or (boot != "" and meta["boot"] == boot)


async def _recover(catalog: Catalog, recovery: Recovery) -> None:
    await recovery.record_belatedly(await catalog.unrecorded())
    for intent in list(catalog.pending.values()):
        await recovery.settle(intent)
    await catalog.close()
