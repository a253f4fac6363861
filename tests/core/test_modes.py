"""The table of modes is the one of the design page, and guards use it."""

import pytest

from artstore.core.modes import MODE_TABLE, MODES, OPERATIONS, Mode, Operation, allowed_operations, check
from artstore.core.spec import ModeNotAllowedError

DESIGN: dict[Mode, tuple[set[Operation], set[Mode]]] = {
    "edit": ({"create", "read", "read_metadata", "update", "delete"}, set()),
    "rw": ({"create", "read", "read_metadata", "update"}, {"ro"}),
    "ro": ({"read", "read_metadata"}, {"ar", "rw"}),
    "ar": ({"read_metadata"}, set()),
}


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_allows_what_the_design_says(mode: Mode) -> None:
    operations, next_modes = DESIGN[mode]

    assert set(allowed_operations(mode)) == operations
    assert set(MODE_TABLE[mode].next_modes) == next_modes


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_guard_refuses_exactly_what_the_mode_does_not_allow(mode: Mode, operation: Operation) -> None:
    if operation in DESIGN[mode][0]:
        check(mode, operation, element_id="se-01")
        return

    with pytest.raises(ModeNotAllowedError, match=f"se-01 is in mode {mode}, .* {operation}$"):
        check(mode, operation, element_id="se-01")


def test_operations_are_listed_in_the_order_of_the_table() -> None:
    assert allowed_operations("rw") == ("create", "read", "read_metadata", "update")
