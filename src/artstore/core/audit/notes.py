"""What code deep in a request knows of it and its record should say."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Final

from artstore.core.audit.record import Actor, Happening, bounded
from artstore.core.ids import random_id


@dataclass(frozen=True, slots=True)
class Cause:
    """For what something is changed: the id of the change, and, as JSON, the record that it will have should
    the request succeed (:func:`artstore.core.audit.belated.belated`).
    """

    change: str
    record: str


@dataclass
class Notes:
    """Gathered while one request is handled. ``describe`` tells what the record of its success would say.

    ``change`` is the id of what the request changes, if it does: then it has a ``cause``.
    """

    describe: Callable[["Notes"], Happening]
    actor: Actor | None = None
    reason: str | None = None
    detail: dict[str, str | int] = field(default_factory=dict[str, str | int])
    is_over: bool = False
    cause: Cause | None = None
    change: str = field(default_factory=partial(random_id, bits=64))
    _owed: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    @cached_property
    def happening(self) -> Happening:
        """What is asked for, described once."""
        return self.describe(self)

    def to_cause(self) -> Cause:
        """For which something is about to be changed."""
        if self.cause is None:
            self.cause = Cause(self.change, self.happening.model_dump_json(exclude_none=True))
        return self.cause

    def owe(self, recorded: Callable[[], None]) -> None:
        """Something was written that is to know when the record is on stable storage."""
        self._owed.append(recorded)

    def pay(self) -> None:
        """It is."""
        owed, self._owed = self._owed, []
        for recorded in owed:
            recorded()


_notes: Final = ContextVar[Notes | None]("audit_notes", default=None)


@contextmanager
def taking_notes(describe: Callable[[Notes], Happening]) -> Generator[Notes, None, None]:
    """Gather the notes of what runs inside."""
    notes = Notes(describe)
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        notes.is_over = True  # for tasks that were begun inside and go on
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


def present_request() -> Happening | None:
    """What the record of the request that is being handled would say of its success; ``None`` without one."""
    notes = _notes.get()
    return None if notes is None or notes.is_over else notes.happening


def present_cause() -> Cause | None:
    """What is to be written together with a change, so that whoever finds it without its record can make that
    up. ``None`` outside of a request that is audited.
    """
    notes = _notes.get()
    return None if notes is None or notes.is_over else notes.to_cause()


def when_recorded(recorded: Callable[[], None]) -> None:
    """Call ``recorded`` once the record of the request that is being handled is on stable storage."""
    notes = _notes.get()
    if notes is not None and not notes.is_over:
        notes.owe(recorded)
