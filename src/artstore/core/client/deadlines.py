"""Until when somebody waits for an answer: passed on from role to role, so that none works for nobody."""

import math
from contextvars import Context, ContextVar, copy_context
from time import monotonic
from typing import Final

from artstore.core.spec import UnavailableError

DEADLINE_HEADER: Final = "Artstore-Deadline"
"""Seconds for which the sender of a request still waits for the answer."""
_expiry: ContextVar[float | None] = ContextVar("expiry", default=None)


def note_deadline(header: str | None) -> None:
    """Whoever is called while the present request is answered is told this deadline, or an earlier one.

    What cannot be understood is ignored: the sender loses nothing but the favour.
    """
    try:
        seconds = float(header or "nan")
    except ValueError:
        seconds = math.nan
    _expiry.set(monotonic() + seconds if 0 <= seconds < math.inf else None)


def time_left(own: float | None) -> float | None:
    """The earlier of ``own`` seconds from now and what whoever waits for us has left; ``None`` for neither.

    Raises:
        UnavailableError: nobody waits any more.
    """
    if (expiry := _expiry.get()) is None:
        return own
    left = expiry - monotonic()
    if left <= 0:
        raise UnavailableError("whoever asked does not wait for the answer any more")
    return left if own is None else min(own, left)


def deadline_headers(left: float | None) -> dict[str, str]:
    """What tells the role that is called."""
    return {} if left is None else {DEADLINE_HEADER: f"{left:.3f}"}


def undated() -> Context:
    """The present context for a task that works for others as well, without the deadline."""
    context = copy_context()
    context.run(_expiry.set, None)
    return context
