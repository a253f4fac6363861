"""Hands committed files to admin, so that they are found at once: many in one request."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from artstore.core.client.breaker import Breaker
from artstore.core.client.deadlines import undated
from artstore.core.client.roles import RoleClient
from artstore.core.exchange import Registration, StoredFile
from artstore.core.journal import JournalEntry
from artstore.core.logging import get_logger
from artstore.core.spec import ArtStoreError, UnavailableError, UpstreamError
from artstore.services.ingester.metrics import IngesterMetrics, RegistrationOutcome

DEADLINE: Final = 2.0
"""Seconds an upload waits for its registration. Without it, the journal brings the file later."""

MAX_BATCH: Final = 1000
_log: Final = get_logger("registration")

_Journal = tuple[str, str]
"""Element and epoch: what one registration is about."""


@dataclass(slots=True)
class _Waiting:
    """A file that waits for the next request, and whoever waits with it."""

    entry: JournalEntry
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Registrar:
    """Group commit over HTTP: while one request is under way, what comes meanwhile waits for the next."""

    def __init__(
        self,
        client: RoleClient,
        *,
        admin_url: str,
        breaker: Breaker,
        metrics: IngesterMetrics,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._client = client
        self._url = f"{admin_url}/api/v1/files"
        self._breaker = breaker
        self._metrics = metrics
        self._tasks = tasks
        self._waiting: defaultdict[_Journal, list[_Waiting]] = defaultdict(list)
        self._sending: set[_Journal] = set()

    async def register(self, stored: StoredFile) -> None:
        """Hand ``stored`` over. Never fails and never takes long: the upload has succeeded already."""
        if self._breaker.is_open:
            self._count("skipped", 1)
            return
        waiting = _Waiting(stored.entry.model_copy(update={"attributes": stored.attributes}))
        journal = (stored.element_id, stored.epoch)
        self._waiting[journal].append(waiting)
        if journal not in self._sending:
            self._sending.add(journal)
            # For many uploads: the deadline of the first is not that of all.
            self._tasks.create_task(self._send_all(journal), context=undated())
        try:
            async with asyncio.timeout(DEADLINE):
                await waiting.done.wait()
        except TimeoutError:
            self._breaker.note_failure()

    async def _send_all(self, journal: _Journal) -> None:
        try:
            while batch := self._waiting.pop(journal, None):
                for start in range(0, len(batch), MAX_BATCH):
                    await self._send(journal, batch[start : start + MAX_BATCH])
        finally:
            self._sending.discard(journal)

    async def _send(self, journal: _Journal, batch: list[_Waiting]) -> None:
        element_id, epoch = journal
        registration = Registration(
            element_id=element_id, epoch=epoch, items=[waiting.entry for waiting in batch]
        )
        try:
            await self._client.post(self._url, registration, deadline=DEADLINE)
        except ArtStoreError as error:
            await self._note_failure(error.detail, len(batch))
            # A refusal is an answer: only who does not answer is left alone.
            if isinstance(error, UnavailableError | UpstreamError):
                self._breaker.note_failure()
        except Exception as error:
            # Whatever it was: with this task its group ended, and with that the server.
            await self._note_failure(type(error).__name__, len(batch), error=error)
        else:
            self._breaker.note_success()
            self._count("registered", len(batch))
        finally:
            for waiting in batch:
                waiting.done.set()

    async def _note_failure(self, reason: str, files: int, *, error: Exception | None = None) -> None:
        self._count("failed", files)
        # In a thread: showing the lines of a traceback reads source files.
        await asyncio.to_thread(
            _log.warning, "files_not_registered", files=files, reason=reason, exc_info=error
        )

    def _count(self, outcome: RegistrationOutcome, files: int) -> None:
        self._metrics.registrations[outcome].inc(files)
