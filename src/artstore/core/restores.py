"""What is said about getting data back from an archive: asked for, queued, restored for a while."""

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from artstore.core.attribute_fields import Moment

RESTORED_HEADER: Final = "Artstore-Restored"
"""Where the restored copy of a file is: ``element:file_id``."""

LOST_COPY_HEADER: Final = "Artstore-Lost-Copy"
"""Of a request to an archive: the copy, named likewise, to which it led, and that is not there or damaged."""

ON_BEHALF_OF_HEADER: Final = "Artstore-On-Behalf-Of"
"""The client for which another role asks; a claim, shown to the operator."""

RESTORED_FROM: Final = "restored_from"
RESTORED_FROM_ELEMENT: Final = "restored_from_element"
"""Custom attributes of a restored copy: the file it is a copy of, and the element that holds that."""

RETRY_AFTER: Final = 3600
"""Seconds after which it makes sense to ask again: somebody has to fetch a medium."""

RestoreStatus = Literal["queued", "restored", "expired", "cancelled", "failed"]

Reason = Annotated[str, Field(min_length=1, max_length=500)]


class RestoredAt(BaseModel):
    """Where a restored copy is: at ``url`` when that was said, and always where its element is."""

    model_config = ConfigDict(frozen=True)

    element_id: Annotated[str, Field(min_length=1, max_length=50)]
    file_id: UUID
    url: Annotated[str, Field(max_length=500, pattern=r"^https?://[!-~]+$")]

    @property
    def name(self) -> str:
        """As roles tell each other."""
        return f"{self.element_id}:{self.file_id}"


class RestoreRequest(BaseModel):
    """Somebody wants the data of an archived file. All who want it share one request."""

    model_config = ConfigDict(frozen=True)

    request_id: Annotated[UUID, Field(description="Also the `file_id` that the restored copy gets.")]
    element_id: str
    file_id: UUID
    status: RestoreStatus
    requested_by: str
    on_behalf_of: str | None = None
    requested_at: datetime
    changed_at: datetime
    keep_days: Annotated[int, Field(description="Days for which a copy is kept once it is restored.")]
    reason: Annotated[str | None, Field(description="Why it failed, or its copy was forgotten.")] = None
    restored_at: RestoredAt | None = None
    expires_at: Annotated[datetime | None, Field(description="When the copy goes away.")] = None

    def leads_to(self, name: str | None) -> bool:
        """Whether that is the copy which is restored."""
        return self.status == "restored" and self.restored_at is not None and self.restored_at.name == name


class RestorePage(BaseModel):
    """A slice of the requests, oldest first."""

    model_config = ConfigDict(frozen=True)

    items: list[RestoreRequest]
    total: int
    limit: int
    offset: int
    has_more: bool


class RestoreCompletion(BaseModel):
    """The copy that an operator has put into another element."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    restored_at: RestoredAt
    checksum: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the copy.")]
    expires_at: Moment


class RestoreFailure(BaseModel):
    """Why a file cannot be restored."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    reason: Reason
