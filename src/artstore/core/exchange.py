"""What the roles say to each other: the models of the requests and answers between them."""

import base64
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from artstore.core.attribute_fields import Text
from artstore.core.attributes import FileAttributes, Hold, RetentionPolicy
from artstore.core.capacity import CapacityStatus
from artstore.core.journal import JournalEntry
from artstore.core.modes import Mode

POSITION_HEADER: Final = "Artstore-Position"
DELEGATION_HEADER: Final = "Artstore-Delegation"


class Exchanged(BaseModel):
    """Base of all: immutable; unknown fields of a newer version are ignored."""

    model_config = ConfigDict(frozen=True)


class Capacity(Exchanged):
    """Space of an element in bytes, and what the element makes of it; only it decides."""

    total: int | None = None
    used: int | None = None
    free: int | None = None
    status: CapacityStatus


class ElementInfo(Exchanged):
    """What an element says of itself."""

    element_id: str
    name: str
    version: str
    mode: Mode
    priority: Annotated[int, Field(description="Elements with a lower number are filled first.")]
    storage_type: str
    allowed_operations: list[str]
    capabilities: list[str]
    max_file_size: int
    file_count: int
    capacity: Capacity
    epoch: Annotated[str, Field(description="Changes when the catalog was rebuilt.")]
    last_sequence: Annotated[int, Field(description="The newest position of the journal.")]
    timestamp: datetime


class Element(Exchanged):
    """An element as the registry knows it."""

    element_id: str
    url: str
    name: str
    mode: Mode
    priority: int
    storage_type: str
    status: Literal["online", "offline"]
    capacity: Capacity
    last_seen_at: datetime | None = None
    registered_at: datetime


class ElementPage(Exchanged):
    """A list of elements."""

    items: list[Element]
    total: int
    limit: int
    offset: int
    has_more: bool


class Endpoints(Exchanged):
    """Where the roles of this cluster are."""

    admin: str
    element: str
    ingester: str
    query: str


class StoredFile(Exchanged):
    """A file that is committed: its sidecar is in place, and this is its journal entry."""

    element_id: str
    epoch: str
    entry: JournalEntry
    attributes: FileAttributes

    @property
    def position(self) -> str:
        """``element:sequence``, as ``at_least`` takes it."""
        return f"{self.element_id}:{self.entry.sequence}"


class Registration(Exchanged):
    """Committed records that the ingester hands to admin, so that they are found at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    element_id: Annotated[str, Field(min_length=1, max_length=50)]
    epoch: Annotated[str, Field(min_length=1, max_length=64)]
    items: Annotated[list[JournalEntry], Field(min_length=1, max_length=1000)]


class UploadAnswer(Exchanged):
    """What an application learns of its upload."""

    file_id: UUID
    original_filename: str
    file_size: int
    checksum: str
    content_type: str
    created_at: datetime
    retention_policy: RetentionPolicy
    expires_at: datetime | None = None
    element_id: str
    position: str

    @classmethod
    def of(cls, stored: StoredFile) -> "UploadAnswer":
        """From what the element answered."""
        attributes = stored.attributes
        return cls(
            file_id=attributes.file_id,
            original_filename=attributes.original_filename,
            file_size=attributes.file_size,
            checksum=attributes.checksum,
            content_type=attributes.content_type,
            created_at=attributes.created_at,
            retention_policy=attributes.retention.policy,
            expires_at=attributes.retention.expires_at,
            element_id=stored.element_id,
            position=stored.position,
        )


class NewHold(Exchanged):
    """A reason to keep a file, whatever its retention says, until the hold is released."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
            description="Your own name for it, such as a case number: placing it again changes nothing. "
            "Default: one is made.",
        ),
    ] = None
    reason: Annotated[Text, Field(min_length=1, max_length=1000)]


class HoldPage(Exchanged):
    """The holds of a file."""

    items: list[Hold]


class Delegation(Exchanged):
    """In whose name a file is stored or held; only a holder of ``uploads:delegate`` may say so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(min_length=1, max_length=255)]
    username: Annotated[str, Field(min_length=1, max_length=255)]
    fullname: Annotated[str, Field(max_length=500)] | None = None

    def encode_header(self) -> str:
        """The value of the header: JSON as base64url without padding (RFC 4648 section 5)."""
        raw = self.model_dump_json(exclude_none=True).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
