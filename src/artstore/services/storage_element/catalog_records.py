"""What the catalog keeps: intents before a change, and what was committed."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, Self
from uuid import UUID

from artstore.core.attributes import FileAttributes, FileStatus
from artstore.core.audit.belated import Fate
from artstore.core.journal import FileOperation
from artstore.core.modes import Mode
from artstore.core.naming import SIDECAR_SUFFIX
from artstore.core.spec import NotFoundError

IntentOperation = Literal[
    "file_create", "file_update", "file_finalize", "file_delete", "file_bury", "file_purge", "mode_change"
]
"""``file_bury``: a deletion that leaves the data for a while."""
IntentOutcome = Fate
"""``failed``: what the operation left cannot be read, so nobody can say how far it came; nothing of it
is touched."""

_COUNT_CHANGES: Final[dict[FileOperation, int]] = {"create": 1, "update": 0, "delete": -1, "purge": 0}


@dataclass(frozen=True, slots=True)
class Intent:
    """A row of the write-ahead log: something is being done to the file whose data is at ``key``.

    Where ``file_id`` is absent, to the root, which ``key`` describes: the element goes to ``mode``.
    ``cause`` is the audit record that is due for it (:class:`artstore.core.audit.notes.Cause`).
    """

    transaction_id: int
    operation: IntentOperation
    file_id: UUID | None
    key: str
    mode: Mode | None = None
    cause: str | None = None

    @property
    def sidecar_key(self) -> str:
        return self.key + SIDECAR_SUFFIX


@dataclass(frozen=True, slots=True)
class Change:
    """A sidecar that is in place and that the catalog is to know.

    ``sidecar`` is its canonical JSON and ``digest`` the SHA-256 of that.
    """

    operation: FileOperation
    file_id: UUID
    key: str
    sidecar: bytes
    digest: str
    status: FileStatus

    @classmethod
    def of(cls, operation: FileOperation, attributes: FileAttributes, *, key: str, sidecar: bytes) -> Self:
        """The change that put ``sidecar``, which is ``attributes`` as JSON, beside the data at ``key``."""
        digest = hashlib.sha256(sidecar).hexdigest()
        return cls(operation, attributes.file_id, key, sidecar, digest, attributes.status)

    @property
    def count_change(self) -> int:
        """By how much it changes the number of files."""
        return _COUNT_CHANGES[self.operation]


@dataclass(frozen=True)
class Committed:
    """What the catalog knows of a file: its newest change, and where that is in the journal of ``epoch``.

    ``time`` is RFC 3339 text.
    """

    change: Change
    sequence: int
    time: str
    epoch: str

    @cached_property
    def attributes(self) -> FileAttributes:
        """The sidecar, parsed. What the catalog holds was valid when it was put there."""
        return FileAttributes.from_json(self.change.sidecar, limit=len(self.change.sidecar))

    @property
    def is_deleted(self) -> bool:
        return self.change.status == "deleted"


def existing(known: Committed | None, file_id: UUID) -> Committed:
    """What is known of a file that is there.

    Raises:
        NotFoundError: it never was, or is deleted.
    """
    if known is None or known.is_deleted:
        raise NotFoundError(f"there is no file {file_id}")
    return known
