"""The change feed of a storage element: what its journal says, and what the indexer reads."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artstore.core.attributes import FileAttributes
from artstore.core.modes import Mode
from artstore.core.spec import UpstreamError

FileOperation = Literal["create", "update", "delete", "purge"]
"""``purge``: the tombstone of a deleted file went, too; its id is free again."""

Operation = Literal[FileOperation, "mode"]


class JournalEntry(BaseModel):
    """One committed change: of a file, or (operation ``mode``) of the element's mode.

    ``attributes`` is the sidecar as it stands now, which may be newer than this entry: whoever repeats
    the journal ends in the same state. It is absent when the sidecar itself has been removed.
    """

    model_config = ConfigDict(frozen=True)

    sequence: Annotated[int, Field(ge=1, description="Position in this epoch, without gaps.")]
    time: datetime
    operation: Operation
    file_id: Annotated[UUID | None, Field(description="Absent when it concerns no file.")] = None
    attributes_digest: Annotated[
        str | None, Field(description="SHA-256 of the sidecar, 64 hex digits; absent without a file.")
    ] = None
    attributes: FileAttributes | None = None
    mode: Annotated[Mode | None, Field(description="Of `mode`: the one in force from here on.")] = None


class JournalPage(BaseModel):
    """A slice of the journal. A new ``epoch`` means: the catalog was rebuilt, read everything again."""

    model_config = ConfigDict(frozen=True)

    element_id: str
    epoch: str
    items: list[JournalEntry]
    last_sequence: Annotated[int, Field(ge=0, description="The newest position in this epoch.")]
    has_more: bool


class UnreadEntry(BaseModel):
    """A :class:`JournalEntry` of which only as much is validated as tells whether it is known already.

    What an indexer reads is mostly known, and validating sidecars is most of the work of reading.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    sequence: Annotated[int, Field(ge=1)]
    time: datetime
    file_id: UUID | None = None

    def read(self) -> JournalEntry:
        """All of it.

        Raises:
            UpstreamError: it is no journal entry.
        """
        try:
            return JournalEntry.model_validate_json(pydantic_core.to_json(self))
        except ValidationError:
            raise UpstreamError(f"the journal's entry {self.sequence} is not a JournalEntry") from None


class UnreadPage(BaseModel):
    """A :class:`JournalPage` of unread entries."""

    model_config = ConfigDict(frozen=True)

    element_id: str
    epoch: str
    items: list[UnreadEntry]
    last_sequence: Annotated[int, Field(ge=0)]
    has_more: bool
