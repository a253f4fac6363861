"""Repairs what a check has found: the catalog follows the storage. Nothing is believed without another look.

Data are removed only when that is asked for by kind, and only where two witnesses say that nobody owns them.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from artstore.core.attribute_fields import format_timestamp
from artstore.core.audit.parts import recording_part
from artstore.core.audit.record import bounded
from artstore.core.audit.trail import AuditTrail
from artstore.core.inspection import (
    CHANGES_FREE,
    PART_FREE,
    Finding,
    FindingKind,
    Repair,
    RepairOutcome,
    RepairReport,
    RepairRequest,
)
from artstore.core.logging import get_logger
from artstore.core.naming import SIDECAR_SUFFIX, parse
from artstore.core.spec import ArtStoreError, Database, InvalidRequestError, ObjectInfo
from artstore.core.stores.rows import count
from artstore.services.storage_element.catalog_records import Change, Committed
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.evidence import head, is_under_way, look_again, measure
from artstore.services.storage_element.findings import drop_finding, list_findings, prepare_findings
from artstore.services.storage_element.judgement import Evidence, judge
from artstore.services.storage_element.sidecars import Sidecar
from artstore.services.storage_element.small_objects import put_in_order

_log: Final = get_logger("element")


class Repairs:
    """The repairs of one request."""

    def __init__(
        self, element: Element, database: Database, request: RepairRequest, *, trail: AuditTrail | None
    ) -> None:
        self._trail = trail
        self._element = element
        self._database = database
        self._request = request
        self._grace = timedelta(hours=request.min_age_hours)

    async def run(self) -> RepairReport:
        """Repair, or tell what would be repaired.

        Raises:
            InvalidRequestError: a kind cannot be repaired, or more would be changed than is allowed.
            ModeNotAllowedError: data would be removed where the mode allows none to be created or deleted.
        """
        kinds = self._request.kinds
        actions = {kind: self._action(kind) for kind in kinds}
        limit = self._request.limit
        async with self._database.transaction() as transaction:
            await prepare_findings(transaction)
        findings = await list_findings(self._database, kinds, limit=limit + 1)
        has_more = len(findings) > limit
        await self._element.root.require_present()
        if not self._request.dry_run:
            await self._require_few(len(findings))
        repairs = [await self._repair(finding, *actions[finding.kind]) for finding in findings[:limit]]
        return RepairReport(
            dry_run=self._request.dry_run, totals=_counted(repairs), has_more=has_more, repairs=repairs
        )

    def _action(self, kind: FindingKind) -> tuple[str, "_Plan"]:
        acts: Mapping[FindingKind, tuple[str, _Plan]] = {
            "missing_row": ("index the sidecar", self._index),
            "outdated_row": ("index the sidecar", self._index),
            "lost_sidecar": ("write the sidecar again, as the catalog knows it", self._restore_sidecar),
            "lost_file": ("forget the row", self._forget),
            "deleted_data": ("remove the data", self._remove_deleted),
            "orphan_data": ("remove the data", self._remove_orphan),
        }
        if kind not in acts:
            raise InvalidRequestError(
                f"{kind} cannot be repaired here: somebody has to look at it",
                [("kinds", f"leave out {kind}")],
            )
        if kind == "orphan_data":
            self._element.check("create")
        return acts[kind]

    async def _require_few(self, changes: int) -> None:
        allowed = self._request.max_changes
        if allowed is None:
            files = await count(self._database, "SELECT 1 FROM catalog_files")
            allowed = max(CHANGES_FREE, int(files * PART_FREE))
        if changes > allowed:
            message = f"{changes} or more changes would be made, and {allowed} are allowed"
            raise InvalidRequestError(
                f"{message}: look at the report, then raise max_changes, lower limit, or rebuild the catalog",
                [("max_changes", message)],
            )

    async def _repair(self, finding: Finding, action: str, plan: "_Plan") -> Repair:
        file_id = None if finding.file_id is None else UUID(finding.file_id)
        if file_id is None or is_under_way(self._element, file_id):
            return _repair(finding, "passed_over", "it is under way")
        async with self._element.locks[file_id]:
            try:
                act = await plan(finding, file_id)
                if isinstance(act, str):
                    return _repair(finding, "passed_over", act)
                if self._request.dry_run:
                    return _repair(finding, "planned", action)
                await self._act(act, finding, action)
            except ArtStoreError as error:
                return _repair(finding, "passed_over", error.detail)
            _log.warning("inconsistency_repaired", kind=finding.kind, key=finding.key, action=action)
            async with self._database.transaction() as transaction:
                await drop_finding(transaction, finding)
            return _repair(finding, "repaired", action)

    async def _act(self, act: "_Act", finding: Finding, action: str) -> None:
        said = {"why": finding.kind, "action": action, "key": bounded(finding.key)}
        resource = f"/api/v1/files/{finding.file_id}"
        async with recording_part(self._trail, "inconsistency_repaired", resource=resource, **said) as part:
            await act()
            part.is_done = True

    async def _index(self, finding: Finding, file_id: UUID) -> "str | _Act":
        evidence = await look_again(self._element, finding.key.removesuffix(SIDECAR_SUFFIX))
        if not isinstance(evidence.sidecar, Sidecar) or not _still(finding, judge(evidence)):
            return "it is no longer so"
        found, row = evidence.sidecar.change, evidence.row
        operation = found.operation
        if row is not None and operation == "create":
            operation = "update" if row.status == "active" else "create"
        change = Change.of(operation, evidence.sidecar.attributes, key=found.key, sidecar=found.sidecar)
        return lambda: self._element.catalog.record(change)

    async def _restore_sidecar(self, finding: Finding, file_id: UUID) -> "str | _Act":
        """The row is the last that is known of the file. Its data must be those that it describes."""
        known = await self._element.catalog.get(file_id)
        sidecar_key = finding.key + SIDECAR_SUFFIX
        if known is None or known.change.key != finding.key or await self._head(sidecar_key) is not None:
            return "it is no longer so"
        if not known.is_deleted and await self._measure(finding.key) != known.attributes.checksum:
            return "the data are not those that the catalog describes"
        objects = {sidecar_key: known.change.sidecar}
        return lambda: put_in_order(self._element.storage, objects)

    async def _forget(self, finding: Finding, file_id: UUID) -> "str | _Act":
        known = await self._element.catalog.get(file_id)
        if known is None or known.change.key != finding.key:
            return "it is no longer so"
        if (
            await self._head(finding.key) is not None
            or await self._head(finding.key + SIDECAR_SUFFIX) is not None
        ):
            return "it is no longer so"
        return lambda: self._forget_row(known)

    async def _forget_row(self, known: Committed) -> None:
        """The last that is known of the file goes: the log keeps it."""
        change = known.change
        _log.warning("row_forgotten", file_id=str(change.file_id), sidecar=change.sidecar.decode())
        await self._element.catalog.forget(known)

    async def _remove_deleted(self, finding: Finding, file_id: UUID) -> "str | _Act":
        """Both the tombstone and the catalog say that the file is deleted."""
        evidence = await look_again(self._element, finding.key)
        if not _still(finding, judge(evidence)):
            return "it is no longer so"
        row = evidence.row
        if row is None or row.status != "deleted" or row.key != finding.key:
            return "the catalog does not say that it is deleted"
        if (kept := self._kept_for(evidence)) is not None:
            return kept
        return lambda: self._element.storage.delete(finding.key)

    async def _remove_orphan(self, finding: Finding, file_id: UUID) -> "str | _Act":
        """Neither the storage nor the catalog knows an owner, and it has been so for long."""
        evidence = await look_again(self._element, finding.key)
        if not _still(finding, judge(evidence)) or evidence.data is None:
            return "it is no longer so"
        if parse(finding.key.rpartition("/")[2]) is None or evidence.row is not None:
            return "the catalog knows the file"
        if (younger := self._too_young(evidence.data)) is not None:
            return younger
        return lambda: self._element.storage.delete(finding.key)

    def _kept_for(self, evidence: Evidence) -> str | None:
        """Deleted data may be wanted back for some days."""
        assert isinstance(evidence.sidecar, Sidecar), "what is deleted has a tombstone"
        delay = timedelta(days=self._element.settings.collection.removal_delay)
        until = evidence.sidecar.attributes.updated_at + delay
        if until <= self._element.time.now():
            return None
        return f"it is kept until {format_timestamp(until)}, to undelete it"

    def _too_young(self, data: ObjectInfo) -> str | None:
        age = datetime.now(UTC) - data.modified_at
        if age >= self._grace:
            return None
        return f"it has been there for {age / timedelta(hours=1):.1f} hours, less than min_age_hours"

    async def _head(self, key: str) -> ObjectInfo | None:
        return await head(self._element.storage, key)

    async def _measure(self, key: str) -> str | None:
        return await measure(self._element.storage, key)


_Act = Callable[[], Awaitable[object]]
"""Repairs it."""

_Plan = Callable[[Finding, UUID], Awaitable[str | _Act]]
"""Looks again at a finding of a file that is locked; what is to be done, or why nothing may be."""


def _still(finding: Finding, judged: Iterable[Finding]) -> bool:
    return any(each.kind == finding.kind for each in judged)


def _repair(finding: Finding, outcome: RepairOutcome, action: str) -> Repair:
    return Repair(**dict(finding), outcome=outcome, action=action)


def _counted(repairs: Sequence[Repair]) -> dict[RepairOutcome, int]:
    counts: dict[RepairOutcome, int] = {}
    for each in repairs:
        counts[each.outcome] = counts.get(each.outcome, 0) + 1
    return counts
