"""What is said about the mode of an element and about a change of it: validated first, then confirmed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from artstore.core.modes import Mode, Operation

Reason = Annotated[str, Field(min_length=1, max_length=500)]
Person = Annotated[str, Field(min_length=1, max_length=255)]
LONGEST_WAIT = 600.0


class TransitionOrder(BaseModel):
    """Without ``confirmation`` it is only said what would happen."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    mode: Annotated[Mode, Field(description="The mode to go to.")]
    reason: Annotated[Reason | None, Field(description="Kept in the history.")] = None
    confirmation: Annotated[
        str | None, Field(max_length=100, description="The token that the validation answered.")
    ] = None
    reopen: Annotated[
        bool, Field(description="Must be true to go back, so that what had ended is allowed again.")
    ] = False
    wait: Annotated[
        float,
        Field(
            ge=0,
            le=LONGEST_WAIT,
            strict=False,
            description="Seconds to wait for operations under way that the new mode does not allow.",
        ),
    ] = 10


class TransitionRequest(TransitionOrder):
    """What the element itself is asked; another role asks it for somebody else."""

    on_behalf_of: Annotated[
        Person | None, Field(description="For whom the caller asks, as it says; kept in the history.")
    ] = None


class Transition(BaseModel):
    """A change of mode: what it would do, or that it is done.

    ``under_way`` and ``pending`` are what a confirmation has to wait for.
    """

    model_config = ConfigDict(frozen=True)

    element_id: str
    status: Literal["validated", "confirmed"]
    from_mode: Mode
    to_mode: Mode
    allowed_operations: Annotated[list[Operation], Field(description="In the new mode.")]
    ended_operations: Annotated[list[Operation], Field(description="That are not allowed any more.")]
    needs_reopen: Annotated[bool, Field(description="Whether the confirmation must say `reopen`.")]
    under_way: Annotated[
        Mapping[Operation, int], Field(description="Operations that the new mode does not allow, by kind.")
    ] = {}
    pending: Annotated[int, Field(description="Interrupted operations that have to be settled before.")] = 0
    confirmation: Annotated[str | None, Field(description="Send it to confirm.")] = None
    expires_at: Annotated[datetime | None, Field(description="Until when it can be confirmed.")] = None
    since: Annotated[datetime | None, Field(description="When it was done.")] = None


class ModePeriodView(BaseModel):
    """Since when the element is, or was, in a mode, and who wanted that why."""

    model_config = ConfigDict(frozen=True)

    mode: Mode
    since: datetime
    by: str | None = None
    on_behalf_of: str | None = None
    reason: str | None = None


class ModeRuleView(BaseModel):
    """What a mode allows, and where one can go from it."""

    model_config = ConfigDict(frozen=True)

    mode: Mode
    operations: list[Operation]
    next_modes: list[Mode]
    reopens: Annotated[list[Mode], Field(description="Of those, the ones that need `reopen`.")]


class ModeState(BaseModel):
    """The mode of an element, how it came to it, and the table of modes."""

    model_config = ConfigDict(frozen=True)

    element_id: str
    mode: Mode
    since: datetime
    changing_to: Annotated[Mode | None, Field(description="While a change is under way.")] = None
    allowed_operations: list[Operation]
    next_modes: list[Mode]
    history: list[ModePeriodView]
    modes: list[ModeRuleView]
