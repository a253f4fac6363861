"""The way of a file from temporary to permanent: its stages, and what roles say to each other about it."""

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from artstore.core.attribute_fields import MAX_INTEGER, Moment
from artstore.core.attributes import Hold

FinalizationStatus = Literal[
    "pending",
    "copying",
    "copied",
    "verified",
    "switched",
    "source_removal_scheduled",
    "completed",
    "failed",
    "rolled_back",
]
FinalizationStep = Literal["begin", "finish", "cancel", "remove"]

UNDER_WAY: Final[tuple[FinalizationStatus, ...]] = ("pending", "copying", "copied", "verified")
"""The file is temporary still."""

FINALIZED: Final[tuple[FinalizationStatus, ...]] = ("switched", "source_removal_scheduled", "completed")
"""The file is permanent, and is read where it is to stay."""

ACTIVE: Final = (*UNDER_WAY, "switched", "source_removal_scheduled")
"""Something is left to be done: a file has at most one of these."""


class FinalizationRequest(BaseModel):
    """What a client asks of the ingester: where the file is to stay."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    element_id: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=50,
            description="The storage element. Default: an element of mode `rw`, else where the file is.",
        ),
    ] = None


class FinalizationOrder(BaseModel):
    """What the ingester asks of admin, in the name of ``requested_by``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    file_id: UUID
    element_id: Annotated[str | None, Field(min_length=1, max_length=50)] = None
    requested_by: Annotated[str, Field(min_length=1, max_length=255)]
    idempotency_key: Annotated[str | None, Field(min_length=1, max_length=255)] = None


class FinalizationAnswer(BaseModel):
    """How far a finalization has come. Sizes are in bytes."""

    model_config = ConfigDict(frozen=True)

    finalization_id: Annotated[
        UUID | None, Field(description="Absent when the file was permanent and no finalization is known.")
    ] = None
    file_id: UUID
    status: FinalizationStatus
    source_element_id: str
    target_element_id: Annotated[str, Field(description="The same as the source: finalized in place.")]
    file_size: int
    bytes_copied: int = 0
    checksum: Annotated[str, Field(description="SHA-256 of the file, 64 hex digits.")]
    checksum_verified: Annotated[
        bool, Field(description="Whether the copy was read back and has this checksum.")
    ] = False
    error: Annotated[
        str | None, Field(description="Why it ended without success, or what the next attempt waits for.")
    ] = None
    attempts: Annotated[int, Field(description="Failed attempts at the present step.")] = 0
    remove_source_at: Annotated[
        datetime | None, Field(description="When the temporary copy is to be removed.")
    ] = None
    requested_by: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def is_finalized(self) -> bool:
        """Whether the file is permanent: also when afterwards a proof failed, so that both copies stay."""
        return self.status in FINALIZED or (self.has_failed and self.remove_source_at is not None)

    @property
    def has_failed(self) -> bool:
        """Whether it ended without success: ``error`` says why."""
        return self.status in ("failed", "rolled_back")

    @property
    def is_over(self) -> bool:
        """Whether the file's retention changes no more by it."""
        return self.status not in UNDER_WAY


class FinalizationPage(BaseModel):
    """A slice of the finalizations, newest first."""

    items: list[FinalizationAnswer]
    total: int
    limit: int
    offset: int
    has_more: bool


class StepOrder(BaseModel):
    """One step at one storage element.

    * ``begin``: mark the temporary file, or renew its mark: nothing changes or removes it ``until`` then.
    * ``finish``: make it permanent, as ``version`` or a higher one, and held by ``holds``, too.
    * ``cancel``: take the mark off, or remove the copy that was not finished.
    * ``remove``: delete the temporary file of which there is a permanent copy, if it is ``version`` still.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    finalization_id: UUID
    step: FinalizationStep
    until: Moment | None = None
    version: Annotated[int | None, Field(ge=1, le=MAX_INTEGER - 1)] = None
    holds: list[Hold] = []
