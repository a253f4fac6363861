"""Finalizations: how far each file has come on its way from temporary to permanent."""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

from artstore.core.finalization import ACTIVE, FinalizationStatus
from artstore.core.spec import AlreadyExistsError, Database, NotFoundError, Parameter, Transaction
from artstore.core.stores.leases import Lease, require_lease
from artstore.core.stores.rows import (
    Record,
    StoredTime,
    count,
    from_microseconds,
    insert_sql,
    integer,
    text,
    to_microseconds,
)


class Finalization(Record):
    """One file's way. Sizes are in bytes.

    ``source_version`` is the version of the sidecar that is copied, once it is marked. ``request_key``
    holds whose idempotency key it is and which. ``revision`` grows with every save: of two processes
    that know the same one, only the first can save. Nothing is left to be done without
    ``next_attempt_at``.
    """

    finalization_id: str
    file_id: str
    status: FinalizationStatus = "pending"
    requested_by: str
    request_key: str | None = None
    source_element_id: str
    target_element_id: str
    is_target_requested: bool = False
    file_size: int
    bytes_copied: int = 0
    checksum: str
    checksum_verified: bool = False
    source_version: int | None = None
    attempts: int = 0
    error: str | None = None
    next_attempt_at: StoredTime | None
    remove_source_at: StoredTime | None = None
    revision: int = 0
    created_at: StoredTime
    updated_at: StoredTime
    completed_at: StoredTime | None = None

    @property
    def is_in_place(self) -> bool:
        """Whether the file becomes permanent where it is."""
        return self.source_element_id == self.target_element_id

    @property
    def is_switched(self) -> bool:
        """Whether the permanent copy is the one that is read."""
        return self.remove_source_at is not None or self.status in ("switched", "completed")

    def with_(self, **changes: object) -> Self:
        """The same finalization, further on."""
        return self.model_copy(update={**changes, "updated_at": datetime.now(UTC)})


@dataclass(frozen=True, slots=True)
class FinalizationPage:
    """A slice of the finalizations, newest first, and how many there are in all."""

    items: Sequence[Finalization]
    total: int


_ACTIVE: Final = ", ".join(f"'{status}'" for status in ACTIVE)
_INSERT: Final = insert_sql("finalizations", Finalization) + " ON CONFLICT DO NOTHING"
_SAVE: Final = (
    "UPDATE finalizations SET "
    + ", ".join(
        f"{column} = :{column}"
        for column in Finalization.model_fields
        if column not in ("finalization_id", "revision")
    )
    + ", revision = :revision + 1 WHERE finalization_id = :finalization_id AND revision = :revision"
)
_FORGET: Final = (
    "DELETE FROM finalizations WHERE finalization_id IN"
    " (SELECT finalization_id FROM finalizations WHERE created_at < :before AND completed_at < :before"
    " AND status IN ('completed', 'rolled_back') ORDER BY created_at LIMIT :limit)"
)
FORGOTTEN_AT_ONCE: Final = 1000
"""At most: others wait for that transaction."""


class FinalizationsStore:
    """The finalizations of this cluster."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, wanted: Finalization) -> Finalization:
        """``wanted``, or the one that the file or the key has already.

        Raises:
            AlreadyExistsError: the key is of the finalization of another file.
        """
        async with self._database.transaction() as transaction:
            if (known := await _known(transaction, wanted)) is not None:
                return known
            if await transaction.execute(_INSERT, wanted.to_row()):
                return wanted
            known = await _known(transaction, wanted)
        if known is None:
            raise AlreadyExistsError(f"file {wanted.file_id} is being made permanent by somebody else now")
        return known

    async def get(self, finalization_id: str) -> Finalization:
        """One finalization.

        Raises:
            NotFoundError: there is none of this id.
        """
        row = await self._database.fetch_one(
            "SELECT * FROM finalizations WHERE finalization_id = :id", {"id": finalization_id}
        )
        if row is None:
            raise NotFoundError(f"there is no finalization {finalization_id}")
        return Finalization.from_row(row)

    async def latest_of(self, file_id: str) -> Finalization | None:
        """The newest finalization of a file."""
        row = await self._database.fetch_one(
            "SELECT * FROM finalizations WHERE file_id = :file_id ORDER BY created_at DESC LIMIT 1",
            {"file_id": file_id},
        )
        return None if row is None else Finalization.from_row(row)

    async def kept_source(self, file_id: str) -> str | None:
        """The element that has the temporary copy of a file, besides the permanent one."""
        latest = await self.latest_of(file_id)
        if latest is None or not latest.is_switched or latest.is_in_place or latest.status == "completed":
            return None
        return latest.source_element_id

    async def list(
        self,
        *,
        status: FinalizationStatus | None = None,
        file_id: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> FinalizationPage:
        """Finalizations, newest first."""
        wanted: dict[str, Parameter] = {}
        if status is not None:
            wanted["status"] = status
        if file_id is not None:
            wanted["file_id"] = file_id
        where = " AND ".join(f"{column} = :{column}" for column in wanted) or "TRUE"
        rows = await self._database.fetch_all(
            f"SELECT * FROM finalizations WHERE {where}"
            " ORDER BY created_at DESC, finalization_id LIMIT :limit OFFSET :offset",
            {**wanted, "limit": limit, "offset": offset},
        )
        total = await count(self._database, f"SELECT 1 FROM finalizations WHERE {where}", wanted)
        return FinalizationPage([Finalization.from_row(row) for row in rows], total)

    async def due(self, now: datetime, *, limit: int) -> Sequence[Finalization]:
        """Those of which something is to be done now, the longest waiting first."""
        rows = await self._database.fetch_all(
            "SELECT * FROM finalizations WHERE next_attempt_at <= :now ORDER BY next_attempt_at LIMIT :limit",
            {"now": to_microseconds(now), "limit": limit},
        )
        return [Finalization.from_row(row) for row in rows]

    async def save(self, finalization: Finalization, *, lease: Lease | None = None) -> Finalization | None:
        """Keep how far it is; ``None`` when somebody else has got further meanwhile, or when the file has
        another that is under way by now.

        Raises:
            PreconditionFailedError: ``lease`` is lost.
        """
        try:
            async with self._database.transaction() as transaction:
                if lease is not None:
                    await require_lease(transaction, lease)
                saved = await transaction.execute(_SAVE, finalization.to_row())
        except AlreadyExistsError:
            return None
        return finalization.model_copy(update={"revision": finalization.revision + 1}) if saved else None

    async def forget(self, *, before: datetime, lease: Lease) -> int:
        """Remove some of those that came to an end before a moment; how many.

        Those that failed half-way stay: somebody has to look at them.

        Raises:
            PreconditionFailedError: ``lease`` is lost.
        """
        async with self._database.transaction() as transaction:
            await require_lease(transaction, lease)
            return await transaction.execute(
                _FORGET, {"before": to_microseconds(before), "limit": FORGOTTEN_AT_ONCE}
            )

    async def note_progress(self, finalization_id: str, bytes_copied: int) -> None:
        """How many bytes the present attempt has copied. It decides nothing."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "UPDATE finalizations SET bytes_copied = :bytes_copied WHERE finalization_id = :id",
                {"bytes_copied": bytes_copied, "id": finalization_id},
            )

    async def count_by_status(self) -> Mapping[str, int]:
        """How many of each status something is left to be done for; statuses without any are absent."""
        rows = await self._database.fetch_all(
            "SELECT status, COUNT(*) AS finalizations FROM finalizations"
            " WHERE next_attempt_at IS NOT NULL GROUP BY status"
        )
        return {text(row, "status"): integer(row, "finalizations") for row in rows}

    async def oldest(self, statuses: Sequence[FinalizationStatus]) -> datetime | None:
        """When the oldest of those in ``statuses`` was asked for of which something is left to be done."""
        names = ", ".join(f"'{status}'" for status in statuses)
        row = await self._database.fetch_one(
            f"SELECT MIN(created_at) AS oldest FROM finalizations"
            f" WHERE next_attempt_at IS NOT NULL AND status IN ({names})"
        )
        return None if row is None or row["oldest"] is None else from_microseconds(integer(row, "oldest"))


async def _known(transaction: Transaction, wanted: Finalization) -> Finalization | None:
    """A key is looked for first: repeating a request finds the same one for as long as it is kept."""
    row = await transaction.fetch_one(
        "SELECT * FROM finalizations WHERE request_key = :request_key", {"request_key": wanted.request_key}
    )
    if row is None:
        row = await transaction.fetch_one(
            f"SELECT * FROM finalizations WHERE file_id = :file_id AND status IN ({_ACTIVE})",
            {"file_id": wanted.file_id},
        )
    if row is None:
        return None
    known = Finalization.from_row(row)
    if known.file_id != wanted.file_id:
        raise AlreadyExistsError("the idempotency key was used to finalize another file: send a new one")
    return known
