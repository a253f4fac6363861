"""Follows the journal of one storage element: reads on, applies, waits for more."""

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Final

from artstore.core.cancellation import end_if_cancelled
from artstore.core.client.roles import RoleClient
from artstore.core.journal import UnreadPage
from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError, PreconditionFailedError, UnavailableError, UpstreamError
from artstore.core.stores.files import FilesStore
from artstore.core.stores.leases import Lease
from artstore.core.waiting import pause_if_early
from artstore.services.admin.metrics import IndexMetrics

PAGE_SIZE: Final = 200
"""Entries. Reading a page holds the event loop for a few milliseconds."""

LONG_POLL: Final = 8.0
"""Seconds an element may wait for its next entry before it answers that there is none."""

ANSWER_TIMEOUT: Final = 15.0
"""Seconds an element has to answer beyond those it may wait."""

GATHERING: Final = 0.15
"""Seconds to wait after the newest entries: under load, what comes meanwhile shares a transaction."""

FIRST_PAUSE: Final = 0.2
LAST_PAUSE: Final = 5.0
"""Seconds between two attempts, which double, while an element does not answer."""

TOLD_FROM: Final = 3
"""Failures in a row that are worth a line in the log: a cluster that starts has some."""

_log = get_logger("indexer")


class JournalFollower:
    """Keeps the index equal to the journal of one element. ``failure`` says why it cannot just now."""

    def __init__(
        self,
        element_id: str,
        url: str,
        *,
        files: FilesStore,
        client: RoleClient,
        metrics: IndexMetrics,
        lease: Lease,
    ) -> None:
        self.url = url
        self.failure: str | None = None
        self._failures = 0
        self._element_id = element_id
        self._files = files
        self._client = client
        self._metrics = metrics
        self._lease = lease

    async def run(self) -> None:
        """Follow until cancelled.

        Raises:
            PreconditionFailedError: the lease is lost, or somebody else has moved the position.
        """
        try:
            while True:
                try:
                    await self._follow()
                except PreconditionFailedError:
                    raise
                except ArtStoreError as error:
                    self._note_failure(error.detail)
                except Exception as error:
                    # An entry that cannot be indexed must not keep the other elements from it.
                    self._note_failure(type(error).__name__, error=error)
                end_if_cancelled()
                await asyncio.sleep(min(FIRST_PAUSE * 2 ** (self._failures - 1), LAST_PAUSE))
        finally:
            self._metrics.forget(self._element_id)

    async def _follow(self) -> None:
        """Read on from the known position until something fails."""
        known = await self._files.position(self._element_id)
        reading = _Reading() if known is None else _Reading(known.epoch, known.sequence)
        while True:
            asked_at, patience = monotonic(), reading.patience
            page = await self._fetch(reading)
            if page.epoch != reading.epoch:
                await self._files.new_epoch(self._element_id, page.epoch, lease=self._lease)
                reading = _Reading(page.epoch)
                continue
            await self._apply(page, reading)
            self._note_success()
            if not page.items:
                await pause_if_early(asked_at, patience)
            elif not page.has_more:
                await asyncio.sleep(GATHERING)

    async def _fetch(self, reading: "_Reading") -> UnreadPage:
        wait = reading.patience
        url = f"{self.url}/api/v1/journal?after={reading.sequence}&limit={PAGE_SIZE}&wait={wait:g}"
        try:
            async with asyncio.timeout(wait + ANSWER_TIMEOUT):
                page = await self._client.get(url, UnreadPage, deadline=None)
        except TimeoutError:
            raise UnavailableError(f"no answer within {wait + ANSWER_TIMEOUT:g} seconds") from None
        _check(page, reading, element_id=self._element_id)
        return page

    async def _apply(self, page: UnreadPage, reading: "_Reading") -> None:
        if page.items:
            sequence = page.items[-1].sequence
            await self._files.apply(
                self._element_id, page.epoch, page.items, position=sequence, lease=self._lease
            )
            reading.sequence = sequence
        self._metrics.applied(page)
        if not page.has_more and not reading.has_reached_end:
            forgotten = await self._files.forget_older_epochs(self._element_id, page.epoch, lease=self._lease)
            reading.has_reached_end = True
            _log.info(
                "journal_read", element_id=self._element_id, position=reading.sequence, forgotten=forgotten
            )

    def _note_failure(self, reason: str, *, error: Exception | None = None) -> None:
        self._failures += 1
        self.failure = reason
        self._metrics.failed(self._element_id)
        if self._failures == TOLD_FROM:
            _log.warning("journal_not_followed", element_id=self._element_id, reason=reason, exc_info=error)

    def _note_success(self) -> None:
        if self._failures >= TOLD_FROM:
            _log.info("journal_followed_again", element_id=self._element_id)
        self._failures = 0
        self.failure = None


@dataclass(slots=True)
class _Reading:
    """How far this run has come."""

    epoch: str | None = None
    sequence: int = 0
    has_reached_end: bool = False

    @property
    def patience(self) -> float:
        """An element that was away may have begun a new epoch, which its first answer tells: no waiting."""
        return LONG_POLL if self.has_reached_end else 0.0


def _check(page: UnreadPage, reading: _Reading, *, element_id: str) -> None:
    if page.element_id != element_id:
        raise UpstreamError(f"storage element {page.element_id} answers in place of {element_id}")
    if page.epoch != reading.epoch:
        return
    if page.last_sequence < reading.sequence:
        raise UpstreamError(
            f"the journal ends at {page.last_sequence}, but {reading.sequence} was read before: "
            "its catalog is an old copy; delete it to have it rebuilt"
        )
    if page.items and page.items[0].sequence <= reading.sequence:
        raise UpstreamError(f"the journal repeats {page.items[0].sequence} after {reading.sequence}")
