"""Removes one piece of garbage, when a second proof agrees: the storage itself, read again under the lock."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from artstore.core.attributes import FileAttributes
from artstore.core.collection import Reason
from artstore.core.naming import SIDECAR_SUFFIX
from artstore.core.retention import is_expired
from artstore.core.spec import NotFoundError
from artstore.services.storage_element.agreement import agreed
from artstore.services.storage_element.candidates import Candidate
from artstore.services.storage_element.catalog_records import Committed
from artstore.services.storage_element.changes import bury
from artstore.services.storage_element.element import Element


@dataclass(frozen=True, slots=True)
class Deadlines:
    """What had ended, been deleted or appeared before these may go."""

    expired: datetime
    removal: datetime
    tombstone: datetime
    orphan: datetime

    @classmethod
    def of(cls, element: Element) -> "Deadlines":
        """By the trusted time, and so much earlier than it may be wrong without anybody noticing."""
        settings, now = element.settings.collection, element.time.now()
        removal = now - timedelta(days=settings.removal_delay)
        return cls(
            expired=now - timedelta(hours=settings.clock_tolerance),
            removal=removal,
            tombstone=min(removal, now - timedelta(days=settings.tombstone_retention)),
            orphan=now - timedelta(days=settings.orphan_grace),
        )


async def remove(element: Element, candidate: Candidate, deadlines: Deadlines) -> bool:
    """Remove it, unless it turns out not to be garbage; whether it did.

    Raises:
        ModeNotAllowedError: the mode does not allow it any more.
        ArtStoreError: the storage or the catalog cannot be used.
    """
    return await _REMOVERS[candidate.reason](element, candidate, deadlines)


async def _remove_expired(element: Element, candidate: Candidate, deadlines: Deadlines) -> bool:
    async with element.changing(candidate.file_id, "delete") as known:
        stored = await _agreed(element, known)
        if known is None or stored is None or not is_expired(stored, now=deadlines.expired):
            return False
        await bury(element, known)
        return True


async def _remove_data(element: Element, candidate: Candidate, deadlines: Deadlines) -> bool:
    async with element.changing(candidate.file_id, "delete") as known:
        stored = await _agreed(element, known)
        if known is None or known.change.key != candidate.key:
            return False
        if not _was_deleted(stored, before=deadlines.removal):
            return False
        async with element.recovery.intent("file_delete", candidate.file_id, candidate.key) as intent:
            await element.storage.delete(candidate.key)
            await element.catalog.finish(intent, "committed")
        return True


async def _remove_tombstone(element: Element, candidate: Candidate, deadlines: Deadlines) -> bool:
    async with element.changing(candidate.file_id, "delete") as known:
        stored = await _agreed(element, known)
        if known is None or not _was_deleted(stored, before=deadlines.tombstone):
            return False
        await _purge(element, known)
        return True


async def _purge(element: Element, known: Committed) -> None:
    """The data first: without its tombstone, nothing would say what they are."""
    change = known.change
    async with element.recovery.intent("file_purge", change.file_id, change.key) as intent:
        await element.storage.delete(change.key)
        await element.storage.delete(intent.sidecar_key)
        await element.catalog.record(replace(change, operation="purge"), finishes=intent)


async def _remove_orphan(element: Element, candidate: Candidate, deadlines: Deadlines) -> bool:
    """Of a file that the catalog knows in this place, the sidecar was lost; of one whose data are missing in
    their place, these may be all there is: that is no garbage.
    """
    async with element.changing(candidate.file_id, "create") as known:
        if known is not None and (known.change.key == candidate.key or await _lacks_data(element, known)):
            return False
        if await _exists(element, candidate.key + SIDECAR_SUFFIX):
            return False
        try:
            info = await element.storage.head(candidate.key)
        except NotFoundError:
            return False
        if info.modified_at > deadlines.orphan:
            return False
        await element.storage.delete(candidate.key)
        return True


async def _agreed(element: Element, known: Committed | None) -> FileAttributes | None:
    """The sidecar as the storage has it, if it is the very one that the catalog knows."""
    return None if known is None else await agreed(element.storage, known)


def _was_deleted(attributes: FileAttributes | None, *, before: datetime) -> bool:
    return attributes is not None and attributes.status == "deleted" and attributes.updated_at <= before


async def _lacks_data(element: Element, known: Committed) -> bool:
    return not known.is_deleted and not await _exists(element, known.change.key)


async def _exists(element: Element, key: str) -> bool:
    try:
        await element.storage.head(key)
    except NotFoundError:
        return False
    return True


_REMOVERS: Final[Mapping[Reason, Callable[[Element, Candidate, Deadlines], Awaitable[bool]]]] = {
    "expired": _remove_expired,
    "removal": _remove_data,
    "tombstone": _remove_tombstone,
    "orphan": _remove_orphan,
}
