"""What a storage element allows in each of its modes: the one table everything else is generated from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from artstore.core.spec import ModeNotAllowedError

Mode = Literal["edit", "rw", "ro", "ar"]
Operation = Literal["create", "read", "read_metadata", "update", "delete"]

MODES: Final[tuple[Mode, ...]] = get_args(Mode)
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)


@dataclass(frozen=True, slots=True)
class ModeRule:
    """``update`` changes metadata. ``read`` gives data: an archive needs a restore before."""

    operations: frozenset[Operation]
    next_modes: tuple[Mode, ...]


MODE_TABLE: Final[Mapping[Mode, ModeRule]] = {
    "edit": ModeRule(frozenset({"create", "read", "read_metadata", "update", "delete"}), ()),
    "rw": ModeRule(frozenset({"create", "read", "read_metadata", "update"}), ("ro",)),
    # Back to rw is for explicit confirmation only.
    "ro": ModeRule(frozenset({"read", "read_metadata"}), ("ar", "rw")),
    "ar": ModeRule(frozenset({"read_metadata"}), ()),
}


def allowed_operations(mode: Mode) -> tuple[Operation, ...]:
    """The operations that ``mode`` allows, in the order of ``OPERATIONS``."""
    return tuple(operation for operation in OPERATIONS if operation in MODE_TABLE[mode].operations)


def check(mode: Mode, operation: Operation, *, element_id: str) -> None:
    """Refuse what the mode does not allow.

    Raises:
        ModeNotAllowedError: naming the element, the mode and the operation.
    """
    if operation not in MODE_TABLE[mode].operations:
        raise ModeNotAllowedError(element_id=element_id, mode=mode, operation=operation)
