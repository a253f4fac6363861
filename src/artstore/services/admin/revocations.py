"""Revokes tokens, and tells every role at once."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from artstore.core.revocation import KEPT_FOR, Revocation, RevocationList, RevocationPage
from artstore.core.stores.revocations import RevocationsStore
from artstore.core.waiting import first_of

LOOK_INTERVAL: Final = 0.5
"""Seconds between two looks at what other processes of admin have revoked."""
PAGE_SIZE: Final = 1000


class Revocations:
    """The list of this cluster. ``known`` is the copy that admin itself asks about its own requests."""

    def __init__(self, store: RevocationsStore, known: RevocationList) -> None:
        self._store = store
        self._known = known
        self._position = ""
        self._changed = asyncio.Event()

    async def revoke_token(self, token_id: str) -> None:
        """Refuse one token from now on."""
        now = datetime.now(UTC)
        await self._store.add(Revocation(token_id=token_id, revoked_at=now, expires_at=now + KEPT_FOR))
        await self.look()

    def has_revoked(self, token_id: str, client_id: str, *, issued_at: datetime, key_id: str | None) -> bool:
        """Whether the roles refuse this token."""
        return self._known.has_revoked(token_id, client_id, issued_at=issued_at, key_id=key_id)

    async def look(self) -> None:
        """Take note of what is new, and wake up who waits for it. Other processes revoke, too."""
        page = await self._store.after(self._position, limit=PAGE_SIZE)
        while page.items:
            self._known.add(page.items)
            self._position = page.position
            self._changed.set()
            self._changed = asyncio.Event()
            page = await self._store.after(self._position, limit=PAGE_SIZE)

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
