"""Keeps what checks found, and finds what is due: the longest unread first."""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast
from uuid import UUID

from artstore.core.fixity import BadOutcome, CheckedBy
from artstore.core.spec import Database, Parameters, Transaction
from artstore.core.stores.rows import count, listed, text
from artstore.services.storage_element.fixity_records import CheckRow, Subject, Verdict

KEPT_CHECKS: Final = 12
"""For each file: a year, when it is checked every month."""
PAGE: Final = 1000

# CROSS JOIN keeps SQLite from beginning with the other table, and then sorting.
_DUE: Final = (
    "SELECT f.file_id, c.storage_key, c.attributes FROM fixity_files AS f CROSS JOIN catalog_files AS c"
    " WHERE c.file_id = f.file_id AND c.status = 'active' AND f.checked_at < :before"
    " ORDER BY f.checked_at, f.file_id LIMIT :limit"
)
_BAD_DUE: Final = (
    "SELECT f.file_id, c.storage_key, c.attributes FROM fixity_files AS f CROSS JOIN catalog_files AS c"
    " WHERE c.file_id = f.file_id AND c.status = 'active'"
    " AND f.outcome <> 'good' AND f.checked_at < :before LIMIT :limit"
)
_NAMED: Final = (
    "SELECT c.file_id, c.storage_key, c.attributes FROM catalog_files AS c"
    " LEFT JOIN fixity_files AS f ON f.file_id = c.file_id WHERE c.status = 'active'"
    " AND COALESCE(f.checked_at, 0) < :before AND c.file_id IN ({ids})"
)
_UNKNOWN: Final = (
    "SELECT c.file_id FROM catalog_files AS c WHERE c.status = 'active' AND c.file_id > :after"
    " AND NOT EXISTS (SELECT 1 FROM fixity_files AS f WHERE f.file_id = c.file_id)"
    " ORDER BY c.file_id LIMIT :limit"
)
_ENROL: Final = (
    "INSERT INTO fixity_files (file_id, known_since, checked_at, outcome)"
    " VALUES (:file_id, :known_since, 0, NULL) ON CONFLICT (file_id) DO NOTHING"
)
_FORGET_DELETED: Final = (
    "DELETE FROM {table} WHERE NOT EXISTS"
    " (SELECT 1 FROM catalog_files AS c WHERE c.file_id = {table}.file_id AND c.status = 'active')"
)
# A clock that was ahead: those checks are done again instead of being believed until it is that late.
_FROM_THE_FUTURE: Final = "UPDATE fixity_files SET checked_at = 1 WHERE checked_at > :now"
_CHECKED: Final = (
    "INSERT INTO fixity_files (file_id, known_since, checked_at, outcome)"
    " VALUES (:file_id, :checked_at, :checked_at, :outcome)"
    " ON CONFLICT (file_id) DO UPDATE SET checked_at = excluded.checked_at, outcome = excluded.outcome"
)
_FORGET_CHECK: Final = (
    "UPDATE fixity_files SET known_since = :now, checked_at = 0, outcome = NULL WHERE file_id = :file_id"
)
_REMEMBER: Final = (
    "INSERT INTO fixity_checks (file_id, checked_at, outcome, checked_by, microseconds, sha256, detail)"
    " VALUES (:file_id, :checked_at, :outcome, :checked_by, :microseconds, :sha256, :detail)"
    " ON CONFLICT (file_id, checked_at) DO NOTHING"
)
_FORGET: Final = (
    "DELETE FROM fixity_checks WHERE file_id = :file_id AND checked_at <="
    " (SELECT checked_at FROM fixity_checks"
    f" WHERE file_id = :file_id ORDER BY checked_at DESC LIMIT 1 OFFSET {KEPT_CHECKS})"
)
_HISTORY: Final = "SELECT * FROM fixity_checks WHERE file_id IN ({ids}) ORDER BY checked_at DESC"
_OLDEST: Final = (
    "SELECT (SELECT MIN(known_since) FROM fixity_files WHERE outcome IS NULL) AS never,"
    " (SELECT checked_at FROM fixity_files WHERE checked_at > 0 AND outcome = 'good'"
    " ORDER BY checked_at LIMIT 1) AS good"
)


class FixityStore:
    """The files' part of the tables of fixity; ``before`` and all other times are in microseconds."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def enrol(self, *, now: int) -> None:
        """Take in files that are not known here, and forget those that are deleted."""
        for table in ("fixity_files", "fixity_checks"):
            async with self.database.transaction() as transaction:
                await transaction.execute(_FORGET_DELETED.format(table=table))
        async with self.database.transaction() as transaction:
            await transaction.execute(_FROM_THE_FUTURE, {"now": now})
        after = ""
        while rows := await self.database.fetch_all(_UNKNOWN, {"after": after, "limit": PAGE}):
            ids = [text(row, "file_id") for row in rows]
            async with self.database.transaction() as transaction:
                await transaction.executemany(
                    _ENROL, [{"file_id": each, "known_since": _born(UUID(each), now=now)} for each in ids]
                )
            after = ids[-1]

    async def count_due(self, *, before: int) -> int:
        """How many files were not checked since ``before``."""
        sql = "SELECT 1 FROM fixity_files WHERE checked_at < :before"
        return await count(self.database, sql, {"before": before})

    async def due(self, *, before: int, bad_before: int, limit: int) -> Sequence[Subject]:
        """Files that were not checked since ``before``, longest unread first.

        Those that were found bad come before all others, and are due as of ``bad_before``.
        """
        rows = await self.database.fetch_all(_BAD_DUE, {"before": bad_before, "limit": limit})
        if not rows:
            rows = await self.database.fetch_all(_DUE, {"before": before, "limit": limit})
        return [Subject.of(row) for row in rows]

    async def named(self, file_ids: Sequence[str], *, before: int) -> Sequence[Subject]:
        """Those of the files ``file_ids`` that were not checked since ``before``."""
        ids, parameters = listed("id", file_ids)
        sql = _NAMED.format(ids=ids)
        rows = await self.database.fetch_all(sql, {**parameters, "before": before})
        return [Subject.of(row) for row in rows]

    async def bad(self) -> Mapping[UUID, BadOutcome]:
        """Every file whose last check was not good."""
        rows = await self.database.fetch_all(
            "SELECT file_id, outcome FROM fixity_files WHERE outcome <> 'good'"
        )
        return {UUID(text(row, "file_id")): cast("BadOutcome", text(row, "outcome")) for row in rows}

    async def count_checked(self) -> int:
        """How many files have been checked."""
        return await count(self.database, "SELECT 1 FROM fixity_files WHERE outcome IS NOT NULL")

    async def oldest(self) -> int | None:
        """Since when some file that is not known to be bad has not been checked."""
        row = await self.database.fetch_one(_OLDEST)
        moments = [] if row is None else [each for each in row.values() if isinstance(each, int)]
        return min(moments, default=None)

    async def forget_check(self, file_id: UUID, *, now: int) -> None:
        """It counts as never checked since ``now``; its history stays."""
        async with self.database.transaction() as transaction:
            await transaction.execute(_FORGET_CHECK, {"file_id": str(file_id), "now": now})

    async def histories(self, file_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[CheckRow]]:
        """The checks of files, newest first."""
        if not file_ids:
            return {}
        histories: dict[UUID, list[CheckRow]] = {each: [] for each in file_ids}
        ids, parameters = listed("id", [str(each) for each in file_ids])
        for row in await self.database.fetch_all(_HISTORY.format(ids=ids), parameters):
            histories[UUID(text(row, "file_id"))].append(CheckRow.from_row(row))
        return histories


async def put_verdicts(
    transaction: Transaction, verdicts: Iterable[Verdict], *, at: int, by: CheckedBy
) -> None:
    """Note what was found."""
    rows = [_row(verdict, at=at, by=by) for verdict in verdicts]
    await transaction.executemany(_CHECKED, rows)
    await transaction.executemany(_REMEMBER, rows)
    await transaction.executemany(_FORGET, rows)


def _row(verdict: Verdict, *, at: int, by: CheckedBy) -> Parameters:
    return {
        "file_id": str(verdict.subject.file_id),
        "checked_at": at,
        "outcome": verdict.outcome,
        "checked_by": by,
        "microseconds": verdict.microseconds,
        "sha256": verdict.sha256,
        "detail": verdict.detail,
    }


def _born(file_id: UUID, *, now: int) -> int:
    """When a file was made, as its id tells; that of another kind tells nothing."""
    return min(now, (file_id.int >> 80) * 1000) if file_id.version == 7 else now
