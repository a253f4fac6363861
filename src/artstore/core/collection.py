"""What an element says of collecting garbage: what it would remove, has removed, and why it did not."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Reason = Literal["expired", "removal", "tombstone", "orphan"]
"""``expired``: a temporary file is over. ``removal``: data of a file that was deleted long enough ago.
``tombstone``: what is left of such a file, after its keep time. ``orphan``: data without a sidecar."""

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
MAX_EXAMPLES: Final = 20


class CollectionOrder(BaseModel):
    """What an operator wants collected."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dry_run: Annotated[bool, Field(description="Only tell what would be removed.")] = True
    limit: Annotated[
        int | None,
        Field(ge=0, description="A run that would remove more is refused. Default: what is configured."),
    ] = None
    confirm_clock: Annotated[
        bool, Field(description="The clock of the element is right, though it seems to have jumped.")
    ] = False


class Found(BaseModel):
    """What there was to remove for one reason."""

    model_config = ConfigDict(frozen=True)

    found: int = 0
    removed: int = 0
    size: Annotated[int, Field(description="Bytes of data that were removed, or would be.")] = 0
    skipped: Annotated[int, Field(description="Found, but not proven a second time: left alone.")] = 0
    examples: Annotated[Sequence[str], Field(description=f"Keys of the first {MAX_EXAMPLES} found.")] = ()


class CollectionReport(BaseModel):
    """One run."""

    model_config = ConfigDict(frozen=True)

    started_at: datetime
    seconds: float
    dry_run: bool
    limit: Annotated[int, Field(description="What the run was allowed to remove.")]
    refused: Annotated[str | None, Field(description="Why nothing was removed.")] = None
    found: Mapping[Reason, Found]
    orphans: Annotated[
        int, Field(description="Data without a sidecar, those that were not without one for long included.")
    ]


class CollectionStatus(BaseModel):
    """The last run, and whether the next one will be refused for the clock."""

    model_config = ConfigDict(frozen=True)

    clock_doubt: Annotated[str | None, Field(description="Why the clock is not believed.")] = None
    last: CollectionReport | None = None
