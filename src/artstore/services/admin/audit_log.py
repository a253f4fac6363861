"""The audit log as the admin role keeps it: appended to by every role, read, exported and verified."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artstore.core.attribute_fields import MAX_INTEGER, Moment
from artstore.core.audit.entries import AuditEntry, AuditPage, Delivery
from artstore.core.audit.export import export_line
from artstore.core.audit.record import BROKEN_OFF, AuditRecord, Happening, Kind, Outcome
from artstore.core.audit.sealing import Head
from artstore.core.audit.shipping import read_records
from artstore.core.audit.spool import Spool
from artstore.core.logging import get_logger
from artstore.core.spec import CorruptedError, ForbiddenError, Principal, Row, UnavailableError
from artstore.core.stores.audit import AuditFilter, AuditRow, AuditStore
from artstore.core.stores.rows import integer

CATCH_UP_TIMEOUT: Final = 2.0
"""Seconds for which a reader waits for what this process has just recorded."""

_log: Final = get_logger("audit")


class AuditQuery(BaseModel):
    """Which records to list; what is absent is any."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    since: Annotated[Moment | None, Field(description="Not before then.")] = None
    until: Annotated[Moment | None, Field(description="Before then.")] = None
    kind: Kind | None = None
    event: str | None = None
    outcome: Outcome | None = None
    role: str | None = None
    actor: Annotated[str | None, Field(description="Client id of the actor.")] = None
    client_address: str | None = None
    request_id: str | None = None
    resource: Annotated[str | None, Field(description="Beginning of the path.")] = None
    before: Annotated[
        int | None, Field(ge=1, le=MAX_INTEGER, description="Positions below this one: `next` of a page.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100

    def filter(self) -> AuditFilter:
        return AuditFilter(**self.model_dump(exclude={"before", "limit"}))


class AuditLog:
    """Appends and reads. It remembers the end that it has seen: a log that is set back shows."""

    def __init__(self, store: AuditStore, own_spool: Spool | None) -> None:
        self._store = store
        self._own_spool = own_spool
        self._known: Head | None = None
        self._appending = asyncio.Lock()

    async def take(self, lines: Sequence[bytes]) -> None:
        """Append what this process has spooled.

        Raises:
            UnavailableError: the database takes nothing now.
        """
        await self.append(read_records(lines))

    async def receive(self, delivery: Delivery, principal: Principal) -> int:
        """Append what another role delivers; how many were not there yet.

        Raises:
            ForbiddenError: it speaks for a role that it is not.
        """
        for record in delivery.records:
            if record.role != principal.name or not record.source.startswith(f"{principal.name}-"):
                raise ForbiddenError(f"{principal.name} delivers records of itself only")
        reported = {"reported_by": principal.client_id}
        return await self.append([record.model_copy(update=reported) for record in delivery.records])

    async def append(self, records: Sequence[AuditRecord]) -> int:
        """Append what is not there yet; how many that were."""
        async with self._appending:
            appended = await self._store.append(records, known=self._known, alarm=_broken_off)
            self._known = appended.head
        if not appended.is_sound:
            _log.error("audit_log_broken_off", position=appended.head.position)
        return appended.count

    async def list(self, query: AuditQuery) -> AuditPage:
        """Records, the newest first.

        Raises:
            CorruptedError: one of them is no record.
        """
        await self.catch_up()
        try:
            rows = await self._store.list(query.filter(), before=query.before, limit=query.limit + 1)
            items = [_entry(row) for row in rows[: query.limit]]
        except ValidationError as error:
            raise CorruptedError("one of these records was altered: verify the log to know which") from error
        has_more = len(rows) > query.limit
        return AuditPage(items=items, has_more=has_more, next=items[-1].position if has_more else None)

    async def export(self) -> AsyncIterator[bytes]:
        """The whole log, oldest first, as JSON lines that the offline verification reads.

        Raises:
            UnavailableError: records were removed after their time before they were read.
        """
        await self.catch_up()
        last = await self._store.pruned_through()
        async for rows in self._store.walk(after=last):
            if integer(rows[0], "position") > last + 1 and await self._store.pruned_through() > last:
                raise UnavailableError("the log was pruned meanwhile: export it again")
            yield await asyncio.to_thread(_exported, rows)
            last = integer(rows[-1], "position")

    async def catch_up(self) -> None:
        """Let what this process has recorded so far come into the log, if it does so soon."""
        if self._own_spool is None:
            return
        try:
            async with asyncio.timeout(CATCH_UP_TIMEOUT):
                await self._own_spool.shipped()
        except TimeoutError:
            _log.warning("audit_log_behind", records=self._own_spool.depth)


def system_record(event: str, **detail: str | int) -> AuditRecord:
    """A record that goes into the log past the spool, since it is about the log itself."""
    return past_the_spool(
        Happening(
            occurred_at=datetime.now(UTC),
            kind="system_event",
            event=event,
            outcome="failed" if event == BROKEN_OFF else "succeeded",
            role="admin",
            detail=detail,
        )
    )


def past_the_spool(happening: Happening) -> AuditRecord:
    """A record as of a process that has noted nothing else."""
    said = happening.model_dump()
    return AuditRecord(**said, source=f"admin-{secrets.token_hex(8)}", sequence=1)


def _broken_off(position: int) -> AuditRecord:
    return system_record(BROKEN_OFF, position=position)


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(position=row.position, mac=row.mac, record=AuditRecord.model_validate_json(row.record))


def _exported(rows: Iterable[Row]) -> bytes:
    return b"".join(
        export_line(position=integer(row, "position"), mac=str(row["mac"]), text=str(row["record"]))
        for row in rows
    )
