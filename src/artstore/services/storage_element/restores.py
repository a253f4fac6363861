"""The queue of an archive: who wants the data of which file, and what became of it.

It lies beside the catalog, survives restarts and rebuilds, and can be lost: whoever still wants a file asks
again.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from artstore.core.attribute_fields import format_timestamp
from artstore.core.ids import new_file_id
from artstore.core.restores import RestoredAt, RestoreRequest, RestoreStatus
from artstore.core.spec import (
    Database,
    NotFoundError,
    Parameter,
    PreconditionFailedError,
    Row,
    Transaction,
)
from artstore.core.stores.rows import count, text
from artstore.services.storage_element.clock import Clock

_COPY_IS_GONE: Final = "the restored copy was gone or damaged before its time"
_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS restore_requests (
        request_id TEXT PRIMARY KEY,
        file_id TEXT NOT NULL,
        status TEXT NOT NULL,
        requested_by TEXT NOT NULL,
        on_behalf_of TEXT,
        requested_at TEXT NOT NULL,
        changed_at TEXT NOT NULL,
        reason TEXT,
        restored_at TEXT,
        expires_at TEXT)""",
    "CREATE UNIQUE INDEX IF NOT EXISTS restore_active_requests ON restore_requests (file_id)"
    " WHERE status IN ('queued', 'restored')",
)
_INSERT: Final = (
    "INSERT INTO restore_requests (request_id, file_id, status, requested_by, on_behalf_of, requested_at,"
    " changed_at) VALUES (:request_id, :file_id, 'queued', :requested_by, :on_behalf_of, :now, :now)"
)
_EXPIRE: Final = (
    "UPDATE restore_requests SET status = 'expired', changed_at = expires_at"
    " WHERE status = 'restored' AND expires_at <= :now"
)
_CHANGE: Final = (
    "UPDATE restore_requests SET status = :status, changed_at = :now, reason = :reason,"
    " restored_at = :restored_at, expires_at = :expires_at WHERE request_id = :request_id"
)
_LATEST: Final = "SELECT * FROM restore_requests WHERE file_id = :file_id ORDER BY request_id DESC LIMIT 1"
_BY_ID: Final = "SELECT * FROM restore_requests WHERE request_id = :request_id"
_WHERE: Final[Mapping[bool, str]] = {True: "status = :status", False: "TRUE"}


async def open_restores(database: Database, clock: Clock, *, element_id: str, keep_days: int) -> "Restores":
    """The requests as they were left."""
    async with database.transaction() as transaction:
        for statement in _SCHEMA:
            await transaction.execute(statement)
    restores = Restores(database, clock, element_id=element_id, keep_days=keep_days)
    await restores.note_changes()
    return restores


class Restores:
    """Requests for the data of archived files: at most one of a file is open or restored at a time.

    ``queued`` is how many wait for an operator.
    """

    def __init__(self, database: Database, clock: Clock, *, element_id: str, keep_days: int) -> None:
        self.queued = 0
        self._database = database
        self._clock = clock
        self._element_id = element_id
        self._keep_days = keep_days

    async def request(self, file_id: UUID, *, by: str, on_behalf_of: str | None) -> RestoreRequest:
        """The request that is queued or restored, or a new one. One caller per file at a time."""
        latest = await self.latest(file_id)
        if latest is not None and latest.status in ("queued", "restored"):
            return latest
        request_id, now = new_file_id(), self._now()
        asked: dict[str, Parameter] = {
            "request_id": str(request_id),
            "file_id": str(file_id),
            "requested_by": by,
            "on_behalf_of": on_behalf_of,
            "now": now,
        }
        async with self._database.transaction() as transaction:
            await transaction.execute(_EXPIRE, {"now": now})
            await transaction.execute(_INSERT, asked)
        self.queued += 1
        return await self.get(request_id)

    async def latest(self, file_id: UUID) -> RestoreRequest | None:
        """The newest request for a file, whatever became of it."""
        row = await self._database.fetch_one(_LATEST, {"file_id": str(file_id)})
        return None if row is None else self._request(row)

    async def get(self, request_id: UUID) -> RestoreRequest:
        """One request.

        Raises:
            NotFoundError: there is none with this id.
        """
        row = await self._database.fetch_one(_BY_ID, {"request_id": str(request_id)})
        if row is None:
            raise NotFoundError(f"there is no restore request {request_id}")
        return self._request(row)

    async def list(
        self, status: RestoreStatus | None, *, limit: int, offset: int
    ) -> tuple[Sequence[RestoreRequest], int]:
        """A slice of the requests, oldest first, and how many there are in all."""
        async with self._database.transaction() as transaction:
            await transaction.execute(_EXPIRE, {"now": self._now()})
        where = _WHERE[status is not None]
        filtered: dict[str, Parameter] = {} if status is None else {"status": status}
        rows = await self._database.fetch_all(
            f"SELECT * FROM restore_requests WHERE {where}"  # noqa: S608 - of our own words
            " ORDER BY request_id LIMIT :limit OFFSET :offset",
            {**filtered, "limit": limit, "offset": offset},
        )
        total = await count(self._database, f"SELECT 1 FROM restore_requests WHERE {where}", filtered)  # noqa: S608
        return [self._request(row) for row in rows], total

    async def complete(
        self, request_id: UUID, restored_at: RestoredAt, *, expires_at: datetime
    ) -> RestoreRequest:
        """A queued request is fulfilled; of one that is, the copy is another, or is kept longer.

        Raises:
            NotFoundError: there is no such request.
            PreconditionFailedError: it is neither queued nor restored any more.
        """
        return await self._change(
            request_id,
            "restored",
            allowed=("queued", "restored"),
            restored_at=restored_at.model_dump_json(),
            expires_at=format_timestamp(expires_at),
        )

    async def fail(self, request_id: UUID, reason: str) -> RestoreRequest:
        """A queued request cannot be fulfilled. Raises as :meth:`complete`."""
        return await self._change(request_id, "failed", allowed=("queued",), reason=reason)

    async def cancel(self, request_id: UUID) -> RestoreRequest:
        """Nobody wants it any more, or the copy is gone. Raises as :meth:`complete`."""
        return await self._change(request_id, "cancelled", allowed=("queued", "restored"))

    async def forget_copy(self, file_id: UUID, name: str) -> bool:
        """Cancel the request that led to a copy which is gone. One caller per file at a time."""
        latest = await self.latest(file_id)
        if latest is None or not latest.leads_to(name):
            return False
        await self._change(
            latest.request_id, "cancelled", allowed=("restored", "expired"), reason=_COPY_IS_GONE
        )
        return True

    async def note_changes(self) -> None:
        """Count those that wait."""
        self.queued = await count(
            self._database, "SELECT 1 FROM restore_requests WHERE status = 'queued'", {}
        )

    async def _change(
        self,
        request_id: UUID,
        status: RestoreStatus,
        *,
        allowed: Sequence[RestoreStatus],
        **columns: Parameter,
    ) -> RestoreRequest:
        nothing: dict[str, Parameter] = dict.fromkeys(("reason", "restored_at", "expires_at"))
        async with self._database.transaction() as transaction:
            await transaction.execute(_EXPIRE, {"now": self._now()})
            await self._require(transaction, request_id, allowed)
            await transaction.execute(
                _CHANGE,
                {**nothing, **columns, "request_id": str(request_id), "status": status, "now": self._now()},
            )
        await self.note_changes()
        return await self.get(request_id)

    async def _require(
        self, transaction: Transaction, request_id: UUID, allowed: Sequence[RestoreStatus]
    ) -> None:
        row = await transaction.fetch_one(_BY_ID, {"request_id": str(request_id)})
        if row is None:
            raise NotFoundError(f"there is no restore request {request_id}")
        if row["status"] not in allowed:
            raise PreconditionFailedError(
                f"restore request {request_id} is {text(row, 'status')}, not {' or '.join(allowed)} any more"
            )

    def _request(self, row: Row) -> RestoreRequest:
        """A copy whose time is over counts as gone before anybody has noted it."""
        values: dict[str, object] = dict(row)
        if row["restored_at"] is not None:
            values["restored_at"] = RestoredAt.model_validate_json(text(row, "restored_at"))
        if row["status"] == "restored" and text(row, "expires_at") <= self._now():
            values["status"] = "expired"
        return RestoreRequest.model_validate(
            {**values, "element_id": self._element_id, "keep_days": self._keep_days}
        )

    def _now(self) -> str:
        return format_timestamp(self._clock.now())
