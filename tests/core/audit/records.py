"""Records for tests of the log."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import get_args

from hypothesis import strategies as st

from artstore.core.audit.record import Actor, AuditRecord, Kind, Outcome
from artstore.core.audit.sealing import GENESIS, SealedRecord, Sealer

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_TEXTS = st.text(max_size=30)


def audit_records() -> st.SearchStrategy[AuditRecord]:
    """Records with any words in them."""
    return st.builds(
        AuditRecord,
        occurred_at=st.datetimes(timezones=st.just(UTC)),
        kind=st.sampled_from(get_args(Kind)),
        event=_TEXTS,
        outcome=st.sampled_from(get_args(Outcome)),
        role=_TEXTS,
        actor=st.none() | st.builds(Actor, subject=_TEXTS, client_id=_TEXTS, kind=st.just("service_account")),
        resource=st.none() | _TEXTS,
        status=st.none() | st.integers(100, 599),
        detail=st.none() | st.dictionaries(_TEXTS, _TEXTS | st.integers(0, 2**53 - 1), max_size=3),
        source=_TEXTS,
        sequence=st.integers(1, 2**53 - 1),
    )


def record(sequence: int, *, source: str = "admin-1", event: str = "delete_file") -> AuditRecord:
    """The record with this number of one process."""
    return AuditRecord(
        occurred_at=BEGIN + timedelta(minutes=sequence),
        kind="sensitive_operation",
        event=event,
        outcome="succeeded",
        role="admin",
        source=source,
        sequence=sequence,
    )


def sealed(sealer: Sealer, records: Sequence[AuditRecord]) -> list[SealedRecord]:
    """A log of ``records``."""
    log, mac = list[SealedRecord](), GENESIS
    for position, each in enumerate(records, start=1):
        mac = sealer.mac(position, mac, each.canonical())
        log.append(SealedRecord(position, each.canonical(), mac))
    return log
