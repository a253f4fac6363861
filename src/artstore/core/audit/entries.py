"""Records as the API of the log gives and takes them."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from artstore.core.audit.checkpoints import Checkpoint
from artstore.core.audit.record import AuditRecord

MAX_RECORDS: Final = 1000
"""Records of one delivery."""


class AuditEntry(BaseModel):
    """A record in its place in the log."""

    position: int
    mac: Annotated[str, Field(description="HMAC-SHA-256 over position, MAC before, and record.")]
    record: AuditRecord


class AuditPage(BaseModel):
    """Records, the newest first."""

    items: list[AuditEntry]
    has_more: bool
    next: Annotated[int | None, Field(description="`before` of the next page.")] = None


class SignedCheckpoint(BaseModel):
    """A checkpoint, absent before the first, and the public key of this log, PEM.

    Keep the key where whoever has the servers cannot change it: it is what trust hangs on.
    """

    public_key: str
    checkpoint: Checkpoint | None = None


class Delivery(BaseModel):
    """Records of one process, in the order of their sequence."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    records: Annotated[list[AuditRecord], Field(max_length=MAX_RECORDS)]
