"""How full a storage element is: decided from free bytes, by the element alone."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from artstore.core.modes import Mode

CapacityStatus = Literal["ok", "warning", "critical", "full"]

_GB: Final = 10**9


class Threshold(BaseModel):
    """Reached when less is free than ``fraction`` of the total *and* than ``size`` bytes.

    The smaller of the two counts: a large medium has room long after 98 % of it are used.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    fraction: Annotated[float, Field(ge=0, lt=1, description="Free part of the total, 0 to 1.")]
    size: Annotated[int, Field(ge=0, description="Free bytes.")]

    def is_reached(self, *, free: int, total: int) -> bool:
        """True when less than the threshold is free; both in bytes."""
        return free < min(self.fraction * total, self.size)


class CapacityThresholds(BaseModel):
    """Free space at which an element warns, is avoided for large files, and refuses uploads."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    warning: Threshold
    critical: Threshold
    full: Threshold

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        levels = (self.full, self.critical, self.warning)
        for lower, higher in pairwise(levels):
            if lower.fraction > higher.fraction or lower.size > higher.size:
                raise ValueError("thresholds must fall: warning, then critical, then full")
        return self

    def status(self, *, free: int, total: int) -> CapacityStatus:
        """The status of a medium with ``free`` of ``total`` bytes free."""
        if self.full.is_reached(free=free, total=total):
            return "full"
        if self.critical.is_reached(free=free, total=total):
            return "critical"
        return "warning" if self.warning.is_reached(free=free, total=total) else "ok"


_WRITE_ONCE: Final = CapacityThresholds(
    warning=Threshold(fraction=0.15, size=150 * _GB),
    critical=Threshold(fraction=0.08, size=80 * _GB),
    full=Threshold(fraction=0.02, size=20 * _GB),
)
# What is in edit can be deleted again, so it may be filled further.
_EDITABLE: Final = CapacityThresholds(
    warning=Threshold(fraction=0.10, size=100 * _GB),
    critical=Threshold(fraction=0.05, size=50 * _GB),
    full=Threshold(fraction=0.01, size=10 * _GB),
)

DEFAULT_THRESHOLDS: Final[Mapping[Mode, CapacityThresholds]] = {
    "edit": _EDITABLE,
    "rw": _WRITE_ONCE,
    "ro": _WRITE_ONCE,
    "ar": _WRITE_ONCE,
}
