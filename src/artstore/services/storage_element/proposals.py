"""Changes of mode that were validated and may be confirmed."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final

from artstore.core.modes import Mode

LIFETIME: Final = 600.0
"""Seconds within which a change can be confirmed."""

LIMIT: Final = 100
"""Changes that can be confirmed at one time; a further one makes the oldest void."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change that somebody may confirm; ``until`` is on the clock of :func:`time.monotonic`."""

    from_mode: Mode
    to_mode: Mode
    reason: str | None
    until: float


class Proposals:
    """Remembered in memory, by the digest of a secret token: a restart makes all of them void."""

    def __init__(self) -> None:
        self._proposals: dict[str, Proposal] = {}

    def add(self, *, from_mode: Mode, to_mode: Mode, reason: str | None) -> tuple[str, datetime]:
        """The token that confirms it, and until when."""
        if len(self._proposals) >= LIMIT:
            del self._proposals[next(iter(self._proposals))]
        token = secrets.token_urlsafe(24)
        self._proposals[digest(token)] = Proposal(from_mode, to_mode, reason, monotonic() + LIFETIME)
        return token, datetime.now(UTC) + timedelta(seconds=LIFETIME)

    def get(self, token: str) -> Proposal | None:
        """The proposal, unless it has expired."""
        proposal = self._proposals.get(digest(token))
        return proposal if proposal is not None and monotonic() < proposal.until else None

    def forget_all(self) -> None:
        """The mode has changed: none can be confirmed any more."""
        self._proposals.clear()


def digest(token: str) -> str:
    """What may be kept and shown of a token."""
    return hashlib.sha256(token.encode()).hexdigest()
