"""What code deep in a request knows of it and its record should say."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from artstore.core.audit.record import Actor, bounded


@dataclass(slots=True)
class Notes:
    """Gathered while one request is handled."""

    actor: Actor | None = None
    reason: str | None = None
    detail: dict[str, str | int] = field(default_factory=dict[str, str | int])


_notes: Final = ContextVar[Notes | None]("audit_notes", default=None)


@contextmanager
def taking_notes() -> Generator[Notes, None, None]:
    """Gather the notes of what runs inside."""
    notes = Notes()
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)


def note(*, actor: Actor | None = None, reason: str | None = None, **detail: str | int) -> None:
    """Say more of the request that is being handled; outside of one, nothing happens.

    Never give it a secret, nor a text that is a client's until it has been recognised: what is sent as a
    client id may be a password in the wrong field.
    """
    notes = _notes.get()
    if notes is None:
        return
    notes.actor = actor or notes.actor
    notes.reason = bounded(reason) if reason is not None else notes.reason
    notes.detail.update((name, bounded(v) if isinstance(v, str) else v) for name, v in detail.items())
