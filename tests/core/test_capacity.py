"""The status of an element follows from its free bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from artstore.core.capacity import (
    DEFAULT_THRESHOLDS,
    CapacityStatus,
    CapacityThresholds,
    Threshold,
)
from artstore.core.modes import MODES, Mode

GB = 10**9
SEVERITY: list[CapacityStatus] = ["ok", "warning", "critical", "full"]


def severity(*, free: int, total: int) -> int:
    return SEVERITY.index(DEFAULT_THRESHOLDS["rw"].status(free=free, total=total))


@pytest.mark.parametrize(
    ("mode", "total", "free", "expected"),
    [
        # A small medium: the fractions are the smaller bound.
        ("rw", 100 * GB, 15 * GB, "ok"),
        ("rw", 100 * GB, 15 * GB - 1, "warning"),
        ("rw", 100 * GB, 8 * GB - 1, "critical"),
        ("rw", 100 * GB, 2 * GB - 1, "full"),
        ("edit", 100 * GB, 10 * GB, "ok"),
        ("edit", 100 * GB, 10 * GB - 1, "warning"),
        ("edit", 100 * GB, 5 * GB - 1, "critical"),
        ("edit", 100 * GB, 1 * GB - 1, "full"),
        # A large one: the sizes are.
        ("rw", 100_000 * GB, 150 * GB, "ok"),
        ("rw", 100_000 * GB, 150 * GB - 1, "warning"),
        ("rw", 100_000 * GB, 80 * GB - 1, "critical"),
        ("rw", 100_000 * GB, 20 * GB - 1, "full"),
        ("edit", 100_000 * GB, 100 * GB - 1, "warning"),
        ("edit", 100_000 * GB, 50 * GB - 1, "critical"),
        ("edit", 100_000 * GB, 10 * GB - 1, "full"),
    ],
)
def test_the_status_changes_at_the_thresholds_of_the_mode(
    mode: Mode, total: int, free: int, expected: CapacityStatus
) -> None:
    assert DEFAULT_THRESHOLDS[mode].status(free=free, total=total) == expected


@pytest.mark.parametrize("mode", MODES)
def test_a_new_medium_of_any_size_is_not_full(mode: Mode) -> None:
    for total in (1, GB, 20 * GB, 10_000 * GB):
        assert DEFAULT_THRESHOLDS[mode].status(free=total, total=total) == "ok"


@given(total=st.integers(1, 10**16), parts=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_less_free_space_is_never_a_better_status(total: int, parts: tuple[float, float]) -> None:
    less, more = sorted(int(part * total) for part in parts)

    assert severity(free=more, total=total) <= severity(free=less, total=total)


def test_configured_thresholds_replace_the_defaults() -> None:
    thresholds = CapacityThresholds.model_validate(
        {
            "warning": {"fraction": 0.5, "size": 1000},
            "critical": {"fraction": 0.4, "size": 500},
            "full": {"fraction": 0.3, "size": 100},
        }
    )

    statuses = [thresholds.status(free=free, total=10_000) for free in (1000, 999, 499, 99)]

    assert statuses == SEVERITY


@pytest.mark.parametrize(
    "critical",
    [Threshold(fraction=0.5, size=10), Threshold(fraction=0.01, size=1000)],
    ids=["fraction", "size"],
)
def test_thresholds_that_do_not_fall_are_refused(critical: Threshold) -> None:
    low = Threshold(fraction=0.01, size=10)

    with pytest.raises(ValidationError, match="thresholds must fall"):
        CapacityThresholds(warning=low, critical=critical, full=low)
