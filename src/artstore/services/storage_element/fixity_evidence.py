"""Whether a bad verdict is one on the file, or only on a change under way or a storage that is away."""

from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.fixity_records import Verdict

_log = get_logger("fixity")


async def holds(element: Element, verdict: Verdict) -> bool:
    """Whether the file is still what the verdict is on.

    Raises:
        UnavailableError: the storage gives out nothing now.
    """
    if verdict.outcome == "good":
        return True
    if verdict.outcome in ("missing", "unreadable"):
        await element.root.require_present()
    subject = verdict.subject
    async with element.locks[subject.file_id]:
        if subject.file_id in element.catalog.pending:
            return False
        known = await element.catalog.get(subject.file_id)
    return known is not None and not known.is_deleted and known.change.key == subject.key


async def condemn(element: Element, verdict: Verdict) -> None:
    """Note what a download came upon, if it can be noted now."""
    try:
        if await holds(element, verdict):
            await element.fixity.note([verdict])
    except ArtStoreError as error:
        _log.error("file_bad_not_noted", file_id=str(verdict.subject.file_id), reason=error.detail)
