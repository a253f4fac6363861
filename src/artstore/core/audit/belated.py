"""Records of changes whose process ended before it could record them, made up from their causes."""

from typing import Final, Literal

from artstore.core.audit.record import Happening, Outcome

Fate = Literal["committed", "rolled_back", "failed"]
"""What became of a change. ``failed``: nobody can say."""

_TOLD: Final[dict[Fate, tuple[Outcome, str]]] = {
    "committed": ("succeeded", "recorded by recovery: the change is complete"),
    "rolled_back": ("failed", "recorded by recovery: the change was undone"),
    "failed": ("failed", "recorded by recovery: how far the change came cannot be read"),
}


def belated(cause: str, fate: Fate, **detail: str | int) -> Happening:
    """The record that is due for ``cause``, in the name of whoever asked for the change.

    It has no status: nobody was answered. It may repeat one that was made after all; its ``change`` tells.
    """
    outcome, reason = _TOLD[fate]
    asked = Happening.model_validate_json(cause)
    detail = {**(asked.detail or {}), **detail}
    return asked.model_copy(update={"outcome": outcome, "reason": reason, "detail": detail or None})


def outcome_of(fate: Fate) -> Outcome:
    """As its record says it."""
    return _TOLD[fate][0]
