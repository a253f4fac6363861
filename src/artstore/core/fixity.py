"""What an element says of its files' bytes being what they were, and of the runs that read them again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

FixityOutcome = Literal["good", "damaged", "missing", "unreadable"]
"""``damaged``: of another size or digest. ``unreadable``: the storage fails for this file, not for all."""
BadOutcome = Literal["damaged", "missing", "unreadable"]
CheckedBy = Literal["scrub", "download"]
RunReason = Literal["scheduled", "requested"]
RunState = Literal["waiting", "running", "finished"]
SampleOutcome = Literal["found", "missed", "not_planted"]
"""What became of the known-bad sample. ``missed``: the run cannot be trusted."""

QUARANTINED: Final[frozenset[FixityOutcome]] = frozenset({"damaged", "missing"})
"""Data that a check found so are not given out until a check finds them good."""
FIXITY_HEADER: Final = "Artstore-Fixity"
MAX_REQUESTED: Final = 1000
"""Files that one request may name."""

_Seconds = Annotated[float, Field(ge=0)]


class _Said(BaseModel):
    """Immutable; unknown fields of a newer version are ignored."""

    model_config = ConfigDict(frozen=True)


class FixityRequest(BaseModel):
    """Which files are to be read again now: all, unless something narrows them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file_ids: Annotated[list[UUID] | None, Field(min_length=1, max_length=MAX_REQUESTED)] = None
    older_than: Annotated[
        float, Field(ge=0, le=10**10, description="Seconds: only files whose last check is as old.")
    ] = 0


class FixityCheck(_Said):
    """One reading of a file."""

    checked_at: datetime
    outcome: FixityOutcome
    checked_by: CheckedBy
    seconds: _Seconds
    sha256: Annotated[str | None, Field(description="Of the bytes that were read, if all were.")] = None
    detail: Annotated[str | None, Field(description="What was wrong.")] = None


class FileFixity(_Said):
    """What is known of the bytes of one file. ``checks`` are the newest, newest first."""

    file_id: UUID
    outcome: Annotated[FixityOutcome | None, Field(description="Of the last check.")] = None
    quarantined: Annotated[bool, Field(description="Its data are not given out.")] = False
    checked_at: datetime | None = None
    checks: Sequence[FixityCheck] = ()


class FixityReport(_Said):
    """Files whose last check was bad, in the order of their ids."""

    items: Sequence[FileFixity]
    has_more: bool


class FixityRun(_Said):
    """A run: it reads what is due, the longest unread first, and a sample that it has to find bad."""

    run_id: str
    reason: RunReason
    state: RunState
    requested_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    files: Annotated[int, Field(description="How many were due at its beginning.")] = 0
    checked: int = 0
    checked_bytes: int = 0
    bad: int = 0
    sample: SampleOutcome | None = None

    @property
    def is_good(self) -> bool:
        """Whether it ended, can be trusted, and found nothing."""
        return self.state == "finished" and self.sample == "found" and not self.bad


class FixityStatus(_Said):
    """The files as of their last checks, and the runs."""

    files: int
    never_checked: int
    bad: dict[BadOutcome, int]
    oldest_unverified_seconds: Annotated[
        _Seconds, Field(description="Since the bytes of some file, bad ones left out, were seen to be good.")
    ]
    period_seconds: float
    budget: Annotated[int, Field(description="Bytes per second.")]
    run: Annotated[FixityRun | None, Field(description="Under way, or waiting.")] = None
    last_run: Annotated[FixityRun | None, Field(description="That ended.")] = None
    next_scheduled_at: datetime
