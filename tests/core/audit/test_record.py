"""What is sealed is canonical, small, and holds nothing that a client could use."""

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from artstore.core.audit.record import MAX_TEXT, Actor, AuditRecord, Happening, bounded, canonical
from tests.core.audit.records import audit_records

TEXTS = st.text(max_size=MAX_TEXT)


@given(st.dictionaries(st.from_regex(r"\A[a-z_]{1,20}\Z"), TEXTS | st.integers(-(2**53) + 1, 2**53 - 1)))
def test_our_canonical_json_is_that_of_rfc_8785(document: dict[str, str | int]) -> None:
    assert canonical(dict(document)) == rfc8785.dumps(dict(document))


@given(st.text(st.characters(codec=None)))
def test_whatever_a_client_sends_can_be_recorded(sent: str) -> None:
    actor = Actor(subject=bounded(sent), client_id=bounded(sent), kind="service_account")

    assert len(actor.subject) <= MAX_TEXT
    assert actor.model_dump_json()


@given(audit_records())
def test_a_record_that_was_read_again_is_canonically_the_same(record: AuditRecord) -> None:
    text = record.canonical()

    assert AuditRecord.model_validate_json(text).canonical() == text
    assert b"\n" not in text


@given(audit_records())
def test_what_happened_is_recorded_as_its_record_would_be(record: AuditRecord) -> None:
    happening = Happening(**record.model_dump(exclude={"source", "sequence", "reported_by"}))

    assert happening.recorded(source=record.source, sequence=record.sequence) == record.canonical()
