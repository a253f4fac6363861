"""The audit log's tables: records in their chain, and the sealed end."""

# ruff: noqa: S608 - statements are put together of our own names; values are always parameters

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import ValidationError

from artstore.core.audit.record import PRUNED, AuditRecord, Kind, Outcome, told_pruned
from artstore.core.audit.sealing import GENESIS, Head, SealedRecord, Sealer
from artstore.core.spec import Database, Parameter, Reader, Row, Transaction
from artstore.core.stores.audit_due import settle
from artstore.core.stores.rows import Record, StoredTime, insert_sql, integer, text, to_microseconds

PAGE: Final = 500


class AuditRow(Record):
    """A record and the columns by which it is looked for, which repeat what ``record`` says."""

    position: int
    source: str
    sequence: int
    occurred_at: StoredTime
    kind: Kind
    event: str
    outcome: Outcome
    role: str
    actor: str | None
    client_address: str | None
    request_id: str | None
    resource: str | None
    record: str
    mac: str

    def repeats_its_record(self) -> bool:
        """Whether the columns say what the record says: a change of one would hide it from a filter."""
        try:
            record = AuditRecord.model_validate_json(self.record)
        except ValueError:
            return False
        return self.to_row() == _row(record, self.as_sealed())

    def as_sealed(self) -> SealedRecord:
        return SealedRecord(self.position, self.record.encode(), bytes.fromhex(self.mac))


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which records are wanted; ``None`` is any. ``resource`` is the beginning of a path."""

    since: datetime | None = None
    until: datetime | None = None
    kind: Kind | None = None
    event: str | None = None
    outcome: Outcome | None = None
    role: str | None = None
    actor: str | None = None
    client_address: str | None = None
    request_id: str | None = None
    resource: str | None = None


Alarm = Callable[[int], AuditRecord]
"""Makes the record that tells of a log that does not go on; is given the last position that is there."""


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append came to: the end of the log, how many were added, whether it went on from its end."""

    head: Head
    count: int
    is_sound: bool


@dataclass(frozen=True, slots=True)
class _Last:
    position: int
    mac: bytes


_INSERT: Final = insert_sql("audit_log", AuditRow)
_PRUNED: Final = (
    "SELECT record FROM audit_log WHERE event = :event AND role = 'admin' ORDER BY position DESC LIMIT 1"
)
_EQUAL: Final = ("kind", "event", "outcome", "role", "actor", "client_address", "request_id")


class AuditStore:
    """The log of one cluster. Any number of processes append; each record gets the next position."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def append(self, records: Sequence[AuditRecord], *, known: Head | None, alarm: Alarm) -> Appended:
        """Add those of ``records`` that are not there yet, in one transaction.

        Records of one source come in the order of their sequence: what is not beyond the last one of its
        source has been added before. What was due of them is due no more. ``known`` is an end that the log
        has had. When it does not go on from there, or its end is not sealed, the record of ``alarm`` is added
        before all others.
        """
        async with self._database.transaction() as transaction:
            head, last = await _locked_head(transaction), await _last(transaction)
            new = await _not_there(transaction, records)
            is_sound = await self._goes_on(transaction, head, last, known)
            if not is_sound:
                new.insert(0, alarm(last.position))
            sealed = self._seal(last, new)
            await settle(transaction, records)
            if sealed:
                head = self._sealer.head(sealed[-1].position, sealed[-1].mac)
                await transaction.executemany(_INSERT, map(_row, new, sealed))
                await transaction.execute(
                    "UPDATE audit_head SET position = :position, mac = :mac, seal = :seal WHERE id = 1",
                    {"position": head.position, "mac": head.mac.hex(), "seal": head.seal.hex()},
                )
        return Appended(head, len(sealed), is_sound)

    def _seal(self, last: _Last, records: Sequence[AuditRecord]) -> list[SealedRecord]:
        sealed, position, mac = list[SealedRecord](), last.position, last.mac
        for record in records:
            position, content = position + 1, record.canonical()
            mac = self._sealer.mac(position, mac, content)
            sealed.append(SealedRecord(position, content, mac))
        return sealed

    async def _goes_on(self, transaction: Transaction, head: Head, last: _Last, known: Head | None) -> bool:
        if (head.position, head.mac) != (last.position, last.mac):
            return False
        if head.position > 0 and not self._sealer.is_right(head):
            return False
        return known is None or await _mac_at(transaction, known.position) == known.mac

    async def head(self) -> Head:
        """The end of the log, as the database has it."""
        row = await self._database.fetch_one("SELECT * FROM audit_head WHERE id = 1")
        return Head(0, GENESIS, b"") if row is None else _head(row)

    async def list(self, wanted: AuditFilter, *, before: int | None, limit: int) -> Sequence[AuditRow]:
        """Records, the newest first, below the position ``before``."""
        where, parameters = _where(wanted)
        if before is not None:
            where.append("position < :before")
            parameters["before"] = before
        rows = await self._database.fetch_all(
            f"SELECT * FROM audit_log WHERE {' AND '.join(where) or '1 = 1'}"
            " ORDER BY position DESC LIMIT :limit",
            {**parameters, "limit": limit},
        )
        return [AuditRow.from_row(row) for row in rows]

    async def pruned_through(self) -> int:
        """Position up to which records are removed behind a checkpoint, or are being removed; 0 for none."""
        row = await self._database.fetch_one(_PRUNED, {"event": PRUNED})
        try:
            return 0 if row is None else told_pruned(AuditRecord.model_validate_json(text(row, "record")))
        except ValidationError:
            return 0  # verifying names it

    async def walk(self, *, after: int = 0, through: int | None = None) -> AsyncIterator[Sequence[Row]]:
        """All rows beyond the position ``after``, in order, page by page, as they are."""
        while True:
            rows = await self._database.fetch_all(
                "SELECT * FROM audit_log WHERE position > :after ORDER BY position LIMIT :limit",
                {"after": after, "limit": PAGE},
            )
            if through is not None:
                rows = [row for row in rows if integer(row, "position") <= through]
            if not rows:
                return
            yield rows
            after = integer(rows[-1], "position")


def _row(record: AuditRecord, sealed: SealedRecord) -> dict[str, Parameter]:
    """The columns of an :class:`AuditRow`. To make that first would take longer than to seal the record."""
    return {
        "position": sealed.position,
        "source": record.source,
        "sequence": record.sequence,
        "occurred_at": to_microseconds(record.occurred_at),
        "kind": record.kind,
        "event": record.event,
        "outcome": record.outcome,
        "role": record.role,
        "actor": record.actor.client_id if record.actor else None,
        "client_address": record.client_address,
        "request_id": record.request_id,
        "resource": record.resource,
        "record": sealed.text.decode(),
        "mac": sealed.mac.hex(),
    }


async def _locked_head(transaction: Transaction) -> Head:
    """The end, which nobody else moves until the transaction ends: changing a row locks it everywhere."""
    await transaction.execute(
        "INSERT INTO audit_head (id, position, mac, seal) VALUES (1, 0, :none, '')"
        " ON CONFLICT (id) DO UPDATE SET position = audit_head.position",
        {"none": GENESIS.hex()},
    )
    row = await transaction.fetch_one("SELECT * FROM audit_head WHERE id = 1")
    assert row is not None, "it was just put in"
    return _head(row)


async def _last(reader: Reader) -> _Last:
    row = await reader.fetch_one("SELECT position, mac FROM audit_log ORDER BY position DESC LIMIT 1")
    return _Last(0, GENESIS) if row is None else _Last(integer(row, "position"), _mac(row))


async def _mac_at(reader: Reader, position: int) -> bytes | None:
    row = await reader.fetch_one(
        "SELECT mac FROM audit_log WHERE position = :position", {"position": position}
    )
    return None if row is None else _mac(row)


def _mac(row: Row) -> bytes:
    """Who wrote what is no MAC must not stop the log: it goes on from none, with the record that says so."""
    found = _bytes(row, "mac")
    return found if len(found) == len(GENESIS) else GENESIS


async def _not_there(transaction: Transaction, records: Sequence[AuditRecord]) -> list[AuditRecord]:
    """Nothing beyond the last of them is asked for: one number that somebody writes there, or another process
    of the role makes up, would keep all that follows from the log as if it were in it.
    """
    known = dict[str, int]()
    new = list[AuditRecord]()
    highest = dict[str, int]()
    for record in records:
        highest[record.source] = max(record.sequence, highest.get(record.source, 0))
    for record in records:
        if record.source not in known:
            row = await transaction.fetch_one(
                "SELECT COALESCE(MAX(sequence), 0) AS last FROM audit_log"
                " WHERE source = :source AND sequence <= :highest",
                {"source": record.source, "highest": highest[record.source]},
            )
            known[record.source] = 0 if row is None else integer(row, "last")
        if record.sequence > known[record.source]:
            known[record.source] = record.sequence
            new.append(record)
    return new


def _head(row: Row) -> Head:
    """One that somebody has made unreadable is that of no log."""
    position = row["position"]
    return Head(position if isinstance(position, int) else 0, _mac(row), _bytes(row, "seal"))


def _bytes(row: Row, column: str) -> bytes:
    try:
        return bytes.fromhex(text(row, column))
    except (TypeError, ValueError):
        return b""


def _where(wanted: AuditFilter) -> tuple[list[str], dict[str, Parameter]]:
    where, parameters = list[str](), dict[str, Parameter]()
    for column in _EQUAL:
        if (value := getattr(wanted, column)) is not None:
            where.append(f"{column} = :{column}")
            parameters[column] = value
    if wanted.since is not None:
        where.append("occurred_at >= :since")
        parameters["since"] = to_microseconds(wanted.since)
    if wanted.until is not None:
        where.append("occurred_at < :until")
        parameters["until"] = to_microseconds(wanted.until)
    if wanted.resource is not None:
        where.append("resource >= :resource AND resource < :beyond")
        parameters |= {"resource": wanted.resource, "beyond": wanted.resource + "\U0010ffff"}
    return where, parameters
