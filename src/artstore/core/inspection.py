"""What an element says of the building and the checking of its catalog."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

WorkState = Literal["none", "running", "done", "cancelled", "failed"]
"""``none``: never begun."""

SidecarFault = Literal["unreadable", "foreign", "copy"]
"""``foreign``: it is of another file than the one it lies beside. ``copy``: its file is known already."""

MAX_EXAMPLES: Final = 100


class Example(BaseModel):
    """One of several of a kind: where it is, and what is wrong."""

    model_config = ConfigDict(frozen=True)

    key: str
    reason: str


class RebuildStatus(BaseModel):
    """A rebuild of the catalog: the one under way, or else the last one.

    While it runs, the element serves from the catalog that was there before.
    """

    model_config = ConfigDict(frozen=True)

    state: WorkState = "none"
    started_at: datetime | None = None
    finished_at: datetime | None = None
    seconds: Annotated[float, Field(description="Time it took so far, without that of stops.")] = 0
    sidecars: Annotated[int, Field(description="Sidecars looked at so far.")] = 0
    expected: Annotated[int | None, Field(description="How many there were in the catalog before.")] = None
    rate: Annotated[float, Field(description="Sidecars per second.")] = 0
    seconds_left: float | None = None
    files: Annotated[int, Field(description="In the new catalog, tombstones included.")] = 0
    faults: Annotated[
        Mapping[SidecarFault, int], Field(description="Sidecars that are not in the new catalog.")
    ] = {}
    examples: Annotated[
        Mapping[SidecarFault, Sequence[Example]], Field(description=f"The first {MAX_EXAMPLES} of each kind.")
    ] = {}
    epoch: Annotated[str | None, Field(description="Of the new catalog, once it serves.")] = None
    reason: Annotated[str | None, Field(description="Why it failed.")] = None
