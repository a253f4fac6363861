"""What an element says of the building and the checking of its catalog."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

WorkState = Literal["none", "running", "done", "cancelled", "failed"]
"""``none``: never begun."""

SidecarFault = Literal["unreadable", "foreign", "copy"]
"""``foreign``: it is of another file than the one it lies beside. ``copy``: its file is known already."""

MAX_EXAMPLES: Final = 100

CHANGES_FREE: Final = 100
"""So many repairs are made without further questions, or so large a part of the files if that is more:"""
PART_FREE: Final = 0.01

LACKING_FREE: Final = 10
"""So many files may be lacking after a rebuild, or ``PART_FREE`` of them: some sidecars are damaged."""

SHORTEST_GRACE: Final = timedelta(hours=1)


class Example(BaseModel):
    """One of several of a kind: where it is, and what is wrong."""

    model_config = ConfigDict(frozen=True)

    key: str
    reason: str


class RebuildStatus(BaseModel):
    """A rebuild of the catalog: the one under way, or else the last one.

    While it runs, the element serves from the catalog that was there before.
    """

    model_config = ConfigDict(frozen=True)

    state: WorkState = "none"
    started_at: datetime | None = None
    finished_at: datetime | None = None
    seconds: Annotated[float, Field(description="Time it took so far, without that of stops.")] = 0
    sidecars: Annotated[int, Field(description="Sidecars looked at so far.")] = 0
    expected: Annotated[int | None, Field(description="How many there were in the catalog before.")] = None
    rate: Annotated[float, Field(description="Sidecars per second.")] = 0
    seconds_left: float | None = None
    files: Annotated[int, Field(description="In the new catalog, tombstones included.")] = 0
    faults: Annotated[
        Mapping[SidecarFault, int], Field(description="Sidecars that are not in the new catalog.")
    ] = {}
    examples: Annotated[
        Mapping[SidecarFault, Sequence[Example]], Field(description=f"The first {MAX_EXAMPLES} of each kind.")
    ] = {}
    lacking: Annotated[
        int, Field(description="Files of the catalog before, tombstones included, that the new one lacks.")
    ] = 0
    lacking_examples: Annotated[Sequence[Example], Field(description=f"The first {MAX_EXAMPLES}.")] = ()
    epoch: Annotated[str | None, Field(description="Of the new catalog, once it serves.")] = None
    reason: Annotated[str | None, Field(description="Why it failed.")] = None


FindingKind = Literal[
    "orphan_data",
    "deleted_data",
    "missing_data",
    "size_difference",
    "data_difference",
    "unreadable_sidecar",
    "foreign_sidecar",
    "copied_sidecar",
    "missing_row",
    "outdated_row",
    "lost_sidecar",
    "lost_file",
    "stranger",
]
"""What can be found where storage and catalog are compared:

* ``orphan_data``: data without a sidecar, under a name as ArtStore makes them;
* ``deleted_data``: data whose sidecar says that they are deleted;
* ``missing_data``: a sidecar without its data;
* ``size_difference``, ``data_difference``: data of another size or digest than the sidecar says;
* ``unreadable_sidecar``, ``foreign_sidecar``, ``copied_sidecar``: as the faults of a rebuild;
* ``missing_row``, ``outdated_row``: a sidecar that the catalog does not know, or knows otherwise;
* ``lost_sidecar``, ``lost_file``: a row whose sidecar is gone, with its data or alone;
* ``stranger``: anything else, objects or not.
"""


class Finding(BaseModel):
    """Something that is not as it should be. ``key`` is where it is in the storage."""

    model_config = ConfigDict(frozen=True)

    kind: FindingKind
    key: str
    file_id: str | None = None
    reason: str


class ConsistencyStatus(BaseModel):
    """A comparison of storage and catalog: the one under way, or else the last one.

    What was stored, changed or deleted while it ran is not reported.
    """

    model_config = ConfigDict(frozen=True)

    state: WorkState = "none"
    started_at: datetime | None = None
    finished_at: datetime | None = None
    seconds: Annotated[float, Field(description="Time it took so far, without that of stops.")] = 0
    verify: Annotated[bool, Field(description="Whether all data are read and hashed.")] = False
    complete: Annotated[bool, Field(description="Whether all objects and all rows were seen.")] = False
    objects: Annotated[int, Field(description="Objects of the storage seen so far.")] = 0
    sidecars: int = 0
    data_size: Annotated[int, Field(description="Bytes of the data seen so far.")] = 0
    rows: Annotated[int, Field(description="Rows of the catalog that were seen to have their sidecar.")] = 0
    expected_rows: Annotated[int | None, Field(description="Rows when it began, tombstones included.")] = None
    totals: Annotated[Mapping[FindingKind, int], Field(description="How many there are of each kind.")] = {}
    reason: Annotated[str | None, Field(description="Why it failed.")] = None


class ConsistencyReport(ConsistencyStatus):
    """With examples."""

    examples: Annotated[Sequence[Finding], Field(description="The first of each kind.")] = ()


RepairOutcome = Literal["planned", "repaired", "passed_over"]
"""``passed_over``: it is no longer as it was found, or it may not be done."""


class Repair(Finding):
    """What became, or would become, of a finding."""

    outcome: RepairOutcome
    action: str


class RepairReport(BaseModel):
    """What was repaired, or with ``dry_run`` would be."""

    model_config = ConfigDict(frozen=True)

    dry_run: bool
    totals: Mapping[RepairOutcome, int]
    has_more: Annotated[bool, Field(description="Whether there are findings beyond `limit`.")]
    repairs: Sequence[Repair]


class CheckRequest(BaseModel):
    """How thorough a comparison shall be."""

    model_config = ConfigDict(extra="forbid")

    verify: Annotated[bool, Field(description="Read and hash all data.")] = False


class RepairRequest(BaseModel):
    """Which findings of the last check are repaired."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dry_run: Annotated[bool, Field(description="Only tell what would be done.")] = True
    kinds: Annotated[
        list[FindingKind],
        Field(
            min_length=1,
            description="Only those named are repaired; those that remove data are never implied.",
        ),
    ] = ["missing_row", "outdated_row"]
    limit: Annotated[int, Field(ge=1, le=10_000, description="Findings of one request.")] = 1000
    max_changes: Annotated[
        int | None,
        Field(
            ge=1,
            description=f"More are refused. Default: {CHANGES_FREE}, or {PART_FREE:.0%} of the files.",
        ),
    ] = None
    min_age_hours: Annotated[
        float,
        Field(
            ge=SHORTEST_GRACE / timedelta(hours=1),
            le=24 * 365,
            description="How long data without an owner must have been there to be removed.",
        ),
    ] = 7 * 24
