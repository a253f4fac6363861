"""What a storage element allows in each of its modes: the one table everything else is generated from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from artstore.core.spec import ModeNotAllowedError, ModeTransitionNotAllowedError

Mode = Literal["edit", "rw", "ro", "ar"]
Operation = Literal["create", "read", "read_metadata", "update", "delete"]

MODES: Final[tuple[Mode, ...]] = get_args(Mode)
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)


@dataclass(frozen=True, slots=True)
class ModeRule:
    """``update`` changes metadata. ``read`` gives data: an archive needs a restore before.

    With ``reads_restored``, asking for data is answered with a restored copy, or a request for one.
    ``next_modes`` are those it can go to; to go to one of ``reopens``, somebody must say explicitly that
    this is meant, because it allows again what had ended.
    """

    operations: frozenset[Operation]
    next_modes: tuple[Mode, ...] = ()
    reopens: frozenset[Mode] = frozenset()
    reads_restored: bool = False


MODE_TABLE: Final[Mapping[Mode, ModeRule]] = {
    "edit": ModeRule(frozenset({"create", "read", "read_metadata", "update", "delete"})),
    "rw": ModeRule(frozenset({"create", "read", "read_metadata", "update"}), ("ro",)),
    "ro": ModeRule(frozenset({"read", "read_metadata"}), ("ar", "rw"), reopens=frozenset({"rw"})),
    "ar": ModeRule(frozenset({"read_metadata"}), reads_restored=True),
}


def allowed_operations(mode: Mode) -> tuple[Operation, ...]:
    """The operations that ``mode`` allows, in the order of ``OPERATIONS``."""
    return tuple(operation for operation in OPERATIONS if operation in MODE_TABLE[mode].operations)


def allowed_in(operation: Operation) -> tuple[Mode, ...]:
    """The modes that allow ``operation``, in the order of ``MODES``."""
    return tuple(mode for mode in MODES if operation in MODE_TABLE[mode].operations)


def ended_by(mode: Mode, to: Mode) -> tuple[Operation, ...]:
    """The operations that ``mode`` allows and ``to`` does not."""
    return tuple(each for each in allowed_operations(mode) if each not in MODE_TABLE[to].operations)


def check(mode: Mode, operation: Operation, *, element_id: str) -> None:
    """Refuse what the mode does not allow.

    Raises:
        ModeNotAllowedError: naming the element, the mode and the operation.
    """
    if operation not in MODE_TABLE[mode].operations:
        raise ModeNotAllowedError(element_id=element_id, mode=mode, operation=operation)


def check_transition(mode: Mode, to: Mode, *, element_id: str) -> None:
    """Refuse what is no edge of the table.

    Raises:
        ModeTransitionNotAllowedError: naming the element and both modes.
    """
    next_modes = MODE_TABLE[mode].next_modes
    if to not in next_modes:
        raise ModeTransitionNotAllowedError(
            element_id=element_id, from_mode=mode, to_mode=to, next_modes=next_modes
        )
