"""Keeps the runs: those that wait, the one that was interrupted, and those that ended."""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from artstore.core.fixity import SampleOutcome
from artstore.core.spec import Database, NotFoundError, Parameters, Row, TooManyRequestsError
from artstore.core.stores.rows import count, insert_sql
from artstore.services.storage_element.fixity_records import RunRow, Verdict
from artstore.services.storage_element.fixity_store import put_verdicts

KEPT_RUNS: Final = 100
MOST_WAITING: Final = 100

_ADD: Final = insert_sql("fixity_runs", RunRow)
_UNFINISHED: Final = "SELECT * FROM fixity_runs WHERE finished_at IS NULL"
# What somebody waits for comes before what has to be read some time.
_NEXT: Final = f"{_UNFINISHED} ORDER BY file_ids IS NULL, requested_at, run_id LIMIT 1"
_LAST: Final = (
    "SELECT * FROM fixity_runs WHERE finished_at IS NOT NULL ORDER BY finished_at DESC, run_id DESC LIMIT 1"
)
_LAST_SCHEDULED: Final = (
    "SELECT * FROM fixity_runs WHERE reason = 'scheduled' ORDER BY requested_at DESC LIMIT 1"
)
_GET: Final = "SELECT * FROM fixity_runs WHERE run_id = :run_id"
_BEGIN: Final = "UPDATE fixity_runs SET started_at = :now, files = :files WHERE run_id = :run_id"
_PROGRESS: Final = (
    "UPDATE fixity_runs SET checked = checked + :checked, checked_bytes = checked_bytes + :checked_bytes,"
    " bad = bad + :bad WHERE run_id = :run_id"
)
_SAMPLE: Final = "UPDATE fixity_runs SET sample = :sample WHERE run_id = :run_id"
_FINISH: Final = "UPDATE fixity_runs SET finished_at = :now WHERE run_id = :run_id"
_FORGET: Final = (
    "DELETE FROM fixity_runs WHERE finished_at <= (SELECT finished_at FROM fixity_runs"
    f" WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1 OFFSET {KEPT_RUNS})"
)


class FixityRuns:
    """The table of runs; times are in microseconds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, run: RunRow) -> None:
        """A run that begins when those before it have ended.

        Raises:
            TooManyRequestsError: too many wait already.
        """
        if await count(self._database, _UNFINISHED) >= MOST_WAITING:
            raise TooManyRequestsError(f"{MOST_WAITING} fixity runs are waiting already", retry_after=60)
        async with self._database.transaction() as transaction:
            await transaction.execute(_ADD, run.to_row())

    async def get(self, run_id: UUID) -> RunRow:
        """One run.

        Raises:
            NotFoundError: there is none, or it is forgotten.
        """
        row = await self._database.fetch_one(_GET, {"run_id": str(run_id)})
        if row is None:
            raise NotFoundError(f"there is no fixity run {run_id}; the last {KEPT_RUNS} are kept")
        return RunRow.from_row(row)

    async def next(self) -> RunRow | None:
        """The run to go on with: what was asked for by id comes first."""
        return _run(await self._database.fetch_one(_NEXT))

    async def last(self) -> RunRow | None:
        """The run that ended last."""
        return _run(await self._database.fetch_one(_LAST))

    async def last_scheduled(self) -> RunRow | None:
        """The scheduled run that began last."""
        return _run(await self._database.fetch_one(_LAST_SCHEDULED))

    async def begin(self, run: RunRow, *, files: int, now: int) -> None:
        """It has begun, with so many files due."""
        async with self._database.transaction() as transaction:
            await transaction.execute(_BEGIN, {"run_id": run.run_id, "files": files, "now": now})

    async def progress(self, run: RunRow, verdicts: Sequence[Verdict], *, at: int) -> None:
        """Note verdicts, and that this run came to them."""
        counted: Parameters = {
            "run_id": run.run_id,
            "checked": len(verdicts),
            "checked_bytes": sum(verdict.read for verdict in verdicts),
            "bad": sum(verdict.outcome != "good" for verdict in verdicts),
        }
        async with self._database.transaction() as transaction:
            await put_verdicts(transaction, verdicts, at=at, by="scrub")
            await transaction.execute(_PROGRESS, counted)

    async def note_sample(self, run: RunRow, sample: SampleOutcome) -> None:
        """What became of the sample."""
        async with self._database.transaction() as transaction:
            await transaction.execute(_SAMPLE, {"run_id": run.run_id, "sample": sample})

    async def finish(self, run: RunRow, *, now: int) -> None:
        """It has ended; old ones are forgotten."""
        async with self._database.transaction() as transaction:
            await transaction.execute(_FINISH, {"run_id": run.run_id, "now": now})
            await transaction.execute(_FORGET)


def _run(row: Row | None) -> RunRow | None:
    return None if row is None else RunRow.from_row(row)
