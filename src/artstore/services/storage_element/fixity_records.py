"""What a check is of, and what it found; what a run is."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self
from uuid import UUID

import orjson

from artstore.core.fixity import (
    CheckedBy,
    FixityCheck,
    FixityOutcome,
    FixityRun,
    RunReason,
    RunState,
    SampleOutcome,
)
from artstore.core.spec import Row
from artstore.core.stores.rows import Record, StoredTime, from_microseconds, text

SAMPLE_KEY: Final = "fixity-sample"
SAMPLE_ID: Final = UUID(int=0)
"""Stands for the known-bad sample, which is no file of the archive."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An object of the storage, and what its bytes have to be."""

    file_id: UUID
    key: str
    size: int
    sha256: str

    @classmethod
    def of(cls, row: Row) -> Self:
        """From a row of the catalog, whose sidecars are valid."""
        attributes = orjson.loads(text(row, "attributes"))
        return cls(
            UUID(text(row, "file_id")),
            text(row, "storage_key"),
            attributes["file_size"],
            attributes["checksum"],
        )

    def found(self, *, size: int, sha256: str | None, microseconds: int) -> "Verdict":
        """The verdict on ``size`` bytes; where there is no digest they were not read."""
        read = 0 if sha256 is None else size
        if size != self.size:
            detail = f"it has {size} bytes instead of {self.size}"
        elif sha256 != self.sha256:
            detail = f"it has SHA-256 {sha256} instead of {self.sha256}"
        else:
            return Verdict(self, "good", microseconds, read, sha256)
        return Verdict(self, "damaged", microseconds, read, sha256, detail)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one reading found; ``read`` is in bytes."""

    subject: Subject
    outcome: FixityOutcome
    microseconds: int
    read: int = 0
    sha256: str | None = None
    detail: str | None = None


class CheckRow(Record):
    """A row of the history of a file."""

    checked_at: StoredTime
    outcome: FixityOutcome
    checked_by: CheckedBy
    microseconds: int
    sha256: str | None
    detail: str | None

    def shown(self) -> FixityCheck:
        return FixityCheck(
            checked_at=self.checked_at,
            outcome=self.outcome,
            checked_by=self.checked_by,
            seconds=self.microseconds / 1e6,
            sha256=self.sha256,
            detail=self.detail,
        )


class RunRow(Record):
    """A run over the files whose last check was before ``checked_before``.

    ``file_ids`` (JSON) are those of them that were asked for, if not all were.
    """

    run_id: str
    reason: RunReason
    file_ids: str | None = None
    checked_before: int
    requested_at: int
    started_at: int | None = None
    finished_at: int | None = None
    files: int = 0
    checked: int = 0
    checked_bytes: int = 0
    bad: int = 0
    sample: SampleOutcome | None = None

    @property
    def named_files(self) -> list[str] | None:
        """Ids, where it was asked for some."""
        return None if self.file_ids is None else [str(UUID(each)) for each in json.loads(self.file_ids)]

    @property
    def state(self) -> RunState:
        if self.finished_at is not None:
            return "finished"
        return "waiting" if self.started_at is None else "running"

    def shown(self) -> FixityRun:
        return FixityRun(
            run_id=self.run_id,
            reason=self.reason,
            state=self.state,
            requested_at=from_microseconds(self.requested_at),
            started_at=_moment(self.started_at),
            finished_at=_moment(self.finished_at),
            files=self.files,
            checked=self.checked,
            checked_bytes=self.checked_bytes,
            bad=self.bad,
            sample=self.sample,
        )


def _moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else from_microseconds(microseconds)
