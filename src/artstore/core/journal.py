"""The change feed of a storage element: what its journal says, and what the indexer reads."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from artstore.core.attributes import FileAttributes

Operation = Literal["create", "update", "delete"]


class JournalEntry(BaseModel):
    """One committed change.

    ``attributes`` is the sidecar as it stands now, which may be newer than this entry: whoever repeats
    the journal ends in the same state. It is absent when the sidecar itself has been removed.
    """

    model_config = ConfigDict(frozen=True)

    sequence: Annotated[int, Field(ge=1, description="Position in this epoch, without gaps.")]
    time: datetime
    operation: Operation
    file_id: UUID
    attributes_digest: Annotated[str, Field(description="SHA-256 of the sidecar, 64 hex digits.")]
    attributes: FileAttributes | None = None


class JournalPage(BaseModel):
    """A slice of the journal. A new ``epoch`` means: the catalog was rebuilt, read everything again."""

    model_config = ConfigDict(frozen=True)

    element_id: str
    epoch: str
    items: list[JournalEntry]
    last_sequence: Annotated[int, Field(ge=0, description="The newest position in this epoch.")]
    has_more: bool
