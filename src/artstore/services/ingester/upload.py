"""An upload: a file on its way from a client to a storage element."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from artstore.core.exchange import StoredFile
from artstore.core.upload_attributes import UploadAttributes


@dataclass(frozen=True, slots=True)
class Upload:
    """A file whose bytes have not been read yet. ``size`` is their number where that was declared.

    ``headers`` describe it to the element. ``None`` when its attributes are too large for a header: it
    then travels as a form, and the element gives it an id of its own. An id that the client chose
    (``may_be_known``) may be stored already, by an attempt whose answer was lost.
    """

    file_id: UUID
    may_be_known: bool
    attributes: UploadAttributes
    delegation: str
    headers: Mapping[str, str] | None
    size: int | None
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Delivered:
    """A file that an element has committed, now or before."""

    stored: StoredFile
    is_new: bool
