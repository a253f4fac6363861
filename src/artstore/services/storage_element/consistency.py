"""Compares storage and catalog: every object with its row, then every row that no object was seen of.

What looks wrong is looked at once more while nobody changes it, so that nothing under way is reported.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final, Self
from uuid import UUID

from pydantic import BaseModel

from artstore.core.inspection import ConsistencyStatus, Finding, FindingKind, WorkState
from artstore.core.logging import get_logger
from artstore.core.naming import SIDECAR_SUFFIX
from artstore.core.spec import Database
from artstore.core.stores.rows import count
from artstore.services.storage_element.catalog_work import save_work
from artstore.services.storage_element.element import Element
from artstore.services.storage_element.evidence import (
    gather_evidence,
    head,
    is_under_way,
    look_again,
    measure,
    measure_file,
)
from artstore.services.storage_element.findings import (
    begin_findings,
    count_findings,
    forget_seen,
    put_findings,
    see,
    unseen,
)
from artstore.services.storage_element.judgement import Evidence, file_id_of, judge
from artstore.services.storage_element.pairs import Pairs, walk_pairs
from artstore.services.storage_element.sidecars import Sidecar, ahead
from artstore.services.storage_element.strangers import find_strangers

NAME: Final = "consistency"
BATCH_SIZE: Final = 500

_log: Final = get_logger("element")

Report = Callable[[ConsistencyStatus], None]


class Progress(BaseModel):
    """How far a check has come: in the storage up to a key, then in the catalog up to a row."""

    status: ConsistencyStatus
    last_key: str | None = None
    last_row: str | None = None


class Check:
    """One check, from its beginning or from where it was interrupted."""

    def __init__(self, element: Element, database: Database, progress: Progress, report: Report) -> None:
        self._element = element
        self._database = database
        self._progress = progress
        self._report = report
        self._resumed = time.perf_counter()
        self._earlier = progress.status.seconds
        report(progress.status)

    @classmethod
    async def begin(cls, element: Element, database: Database, *, verify: bool, report: Report) -> Self:
        """Begin with nothing."""
        rows = await count(database, "SELECT 1 FROM catalog_files")
        progress = Progress(
            status=ConsistencyStatus(
                state="running", started_at=datetime.now(UTC), verify=verify, expected_rows=rows
            )
        )
        async with database.transaction() as transaction:
            await begin_findings(transaction)
            await save_work(transaction, NAME, progress)
        _log.info("consistency_check_started", rows=rows, verify=verify)
        return cls(element, database, progress, report)

    @property
    def status(self) -> ConsistencyStatus:
        return self._progress.status

    async def run(self) -> None:
        """See everything that was not seen yet.

        Raises:
            UnavailableError: the storage or the database does not answer.
        """
        root = self._element.root
        await root.require_present()
        if self._progress.last_row is None:
            await self._look_through_storage()
        await self._look_through_rows()
        await self._look_for_strangers()
        await root.require_present()
        await self.end("done")
        _log.info("consistency_checked", objects=self.status.objects, **dict(self.status.totals))

    async def end(self, state: WorkState, *, reason: str | None = None) -> None:
        """What was found is kept."""
        update: dict[str, object] = {
            "state": state,
            "reason": reason,
            "complete": state == "done",
            "finished_at": datetime.now(UTC),
        }
        self._progress = self._progress.model_copy(update={"status": self._timed(update)})
        try:
            async with self._database.transaction() as transaction:
                await forget_seen(transaction)
                await save_work(transaction, NAME, self._progress)
        finally:
            # Told last: who learns that it has ended may begin the next one.
            self._report(self.status)

    async def _look_through_storage(self) -> None:
        storage = self._element.storage

        async def gathered(pairs: Pairs) -> tuple[Pairs, list[Evidence]]:
            return pairs, await gather_evidence(storage, self._database, pairs.pairs)

        walk = walk_pairs(storage, after=self._progress.last_key, size=BATCH_SIZE)
        async with aclosing(ahead(walk, gathered)) as batches:
            async for pairs, evidence in batches:
                await self._judge(pairs, evidence)
        await self._save(Progress(status=self._timed({}), last_row=""))

    async def _judge(self, pairs: Pairs, evidence: Sequence[Evidence]) -> None:
        suspicious = [each for each in evidence if await self._is_suspicious(each)]
        findings = [finding for each in suspicious for finding in await self._confirmed(each)]
        old = self.status
        update: dict[str, object] = {
            "objects": old.objects + sum(pair.objects for pair in pairs.pairs),
            "sidecars": old.sidecars + sum(pair.has_sidecar for pair in pairs.pairs),
            "data_size": old.data_size + sum(each.data.size for each in evidence if each.data is not None),
            "rows": old.rows + sum(1 for each in evidence if _is_in_place(each)),
            "totals": _added(old.totals, findings),
        }
        progress = Progress(status=self._timed(update), last_key=pairs.cursor)
        await self._save(progress, findings=findings, seen=_seen(evidence))

    async def _is_suspicious(self, evidence: Evidence) -> bool:
        if any(True for _ in judge(evidence)):
            return True
        return self.status.verify and await self._has_other_data(evidence)

    async def _has_other_data(self, evidence: Evidence) -> bool:
        sidecar = evidence.sidecar
        if not isinstance(sidecar, Sidecar) or evidence.data is None:
            return False
        storage = self._element.storage
        if (paths := storage.capabilities.local_paths) is not None:
            return await measure_file(paths, evidence.key) != sidecar.attributes.checksum
        return await measure(storage, evidence.key) != sidecar.attributes.checksum

    async def _confirmed(self, suspicious: Evidence) -> list[Finding]:
        """What is still wrong while nobody changes the file."""
        key = suspicious.key
        file_id = file_id_of(key, suspicious.sidecar)
        if is_under_way(self._element, file_id):
            return []
        async with self._element.locks[file_id or UUID(int=0)]:
            sha256 = None
            if self.status.verify and suspicious.data is not None:
                sha256 = await measure(self._element.storage, key)
            return list(judge(await look_again(self._element, key, sha256=sha256)))

    async def _look_through_rows(self) -> None:
        while ids := await unseen(self._database, after=self._progress.last_row or "", limit=BATCH_SIZE):
            findings = [finding for each in ids for finding in await self._look_at_row(UUID(each))]
            status = self._timed({"totals": _added(self.status.totals, findings)})
            await self._save(Progress(status=status, last_row=ids[-1]), findings=findings)

    async def _look_at_row(self, file_id: UUID) -> list[Finding]:
        """A row whose sidecar was not seen; it may have come since."""
        if is_under_way(self._element, file_id):
            return []
        async with self._element.locks[file_id]:
            known = await self._element.catalog.get(file_id)
            if known is None:
                return []
            key, storage = known.change.key, self._element.storage
            if await head(storage, key + SIDECAR_SUFFIX) is not None:
                return []
            kind: FindingKind = "lost_file" if await head(storage, key) is None else "lost_sidecar"
            reason = (
                "the catalog knows it" if not known.is_deleted else "the catalog knows that it is deleted"
            )
            return [Finding(kind=kind, key=key, file_id=str(file_id), reason=reason)]

    async def _look_for_strangers(self) -> None:
        """In one go, and again by a check that goes on: so they are counted where they are kept."""
        found: list[Finding] = []
        async with aclosing(find_strangers(self._element.storage, self._database)) as strangers:
            async for stranger in strangers:
                found.append(stranger)
                if len(found) >= BATCH_SIZE:
                    await self._save(self._progress, findings=found)
                    found = []
        await self._save(self._progress, findings=found)
        if total := await count_findings(self._database, "stranger"):
            status = self._timed({"totals": {**self.status.totals, "stranger": total}})
            await self._save(self._progress.model_copy(update={"status": status}))

    async def _save(
        self, progress: Progress, *, findings: Sequence[Finding] = (), seen: Iterable[str] = ()
    ) -> None:
        for each in findings:
            _log.warning("inconsistency_found", kind=each.kind, key=each.key, reason=each.reason)
        async with self._database.transaction() as transaction:
            await put_findings(transaction, findings)
            await see(transaction, seen)
            await save_work(transaction, NAME, progress)
        self._progress = progress
        self._report(progress.status)

    def _timed(self, update: dict[str, object]) -> ConsistencyStatus:
        seconds = self._earlier + time.perf_counter() - self._resumed
        return self.status.model_copy(update={**update, "seconds": seconds})


def _is_in_place(evidence: Evidence) -> bool:
    """Whether the row of its sidecar says that it is here."""
    return (
        isinstance(evidence.sidecar, Sidecar)
        and evidence.row is not None
        and evidence.row.key == evidence.key
    )


def _seen(evidence: Iterable[Evidence]) -> list[str]:
    """The files that have a sidecar somewhere: none is lost, though its row may be outdated."""
    return [str(each.sidecar.attributes.file_id) for each in evidence if isinstance(each.sidecar, Sidecar)]


def _added(totals: Mapping[FindingKind, int], findings: Sequence[Finding]) -> dict[FindingKind, int]:
    counts: dict[FindingKind, int] = {**totals}
    for each in findings:
        counts[each.kind] = counts.get(each.kind, 0) + 1
    return counts
