"""Revokes tokens, and tells every role at once."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from artstore.core.cancellation import end_if_cancelled
from artstore.core.logging import get_logger
from artstore.core.revocation import KEPT_FOR, Revocation, RevocationList, RevocationPage
from artstore.core.spec import ArtStoreError
from artstore.core.stores.revocations import RevocationsStore
from artstore.core.waiting import first_of

LOOK_INTERVAL: Final = 0.5
"""Seconds between two looks at what other processes of admin have revoked."""
PAGE_SIZE: Final = 1000

_log = get_logger("revocations")


class Revocations:
    """The list of this cluster. ``known`` is the copy that admin itself asks about its own requests."""

    def __init__(self, store: RevocationsStore, known: RevocationList) -> None:
        self._store = store
        self._known = known
        self._position = ""
        self._changed = asyncio.Event()
        self._is_looked_at = True

    async def revoke_token(self, token_id: str) -> None:
        """Refuse one token from now on."""
        now = datetime.now(UTC)
        await self._store.add(Revocation(token_id=token_id, revoked_at=now, expires_at=now + KEPT_FOR))
        await self.look()

    def has_revoked(self, token_id: str, client_id: str, *, issued_at: datetime, key_id: str | None) -> bool:
        """Whether the roles refuse this token."""
        return self._known.has_revoked(token_id, client_id, issued_at=issued_at, key_id=key_id)

    async def look(self) -> None:
        """Take note of what is new, and wake up who waits for it."""
        page = await self._store.after(self._position, limit=PAGE_SIZE)
        while page.items:
            self._known.add(page.items)
            self._position = page.position
            self._changed.set()
            self._changed = asyncio.Event()
            page = await self._store.after(self._position, limit=PAGE_SIZE)

    async def run(self) -> None:
        """Look again and again, until cancelled: other processes revoke, too."""
        while True:
            end_if_cancelled()
            await asyncio.sleep(LOOK_INTERVAL)
            try:
                await self.look()
                self._is_looked_at = True
            except ArtStoreError as error:
                await self._note_failure(error.detail)
            except Exception as error:
                # Whatever it was: who stops looking lets suspended clients in for ever.
                await self._note_failure(type(error).__name__, error=error)

    async def _note_failure(self, reason: str, *, error: Exception | None = None) -> None:
        if self._is_looked_at:
            # In a thread: showing the lines of a traceback reads source files.
            await asyncio.to_thread(_log.warning, "revocations_not_read", reason=reason, exc_info=error)
        self._is_looked_at = False

    async def page(self, position: str, *, patience: float, stopping: asyncio.Event) -> RevocationPage:
        """What came after ``position``; waits for something up to ``patience`` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while not stopping.is_set():
                    changed = self._changed
                    page = await self._store.after(position, limit=PAGE_SIZE)
                    if page.items or page.position != position:
                        return page
                    await first_of(changed, stopping)
        return await self._store.after(position, limit=PAGE_SIZE)
