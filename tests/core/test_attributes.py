"""The sidecar: what it holds, what it refuses, and that its canonical form is stable."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import JsonValue, ValidationError

from artstore.core.attribute_fields import (
    MAX_CONTENT_TYPE_LENGTH,
    MAX_DESCRIPTION_LENGTH,
    MAX_FILENAME_LENGTH,
    MAX_INTEGER,
    MAX_NESTING,
    MAX_TAG_LENGTH,
    MAX_TAGS,
)
from artstore.core.attributes import MAX_SIDECAR_SIZE, FileAttributes, Hold, Retention
from artstore.core.spec import ContentTooLargeError, CorruptedError, InvalidRequestError, UnsupportedError

TIME = datetime(2026, 11, 22, 15, 3, 14, 123456, tzinfo=UTC)
FILE_ID = UUID("0197b2c4-5d6e-7f80-9a1b-2c3d4e5f6071")

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
NAMES = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="/\\"),
    min_size=1,
    max_size=99,
).filter(lambda name: name.strip(".") != "")
TIMES = st.datetimes(timezones=st.just(UTC))
JSON_VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(-MAX_INTEGER, MAX_INTEGER)
    | TEXT,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(TEXT, values, max_size=4),
    max_leaves=12,
)
HOLDS = st.builds(Hold, id=TEXT.filter(bool), reason=TEXT, placed_by=TEXT, placed_at=TIMES)
RETENTIONS = st.builds(
    Retention,
    policy=st.sampled_from(["temporary", "permanent"]),
    expires_at=TIMES,
    finalized_at=st.none() | TIMES,
    holds=st.lists(HOLDS, max_size=2),
)
SIDECARS = st.builds(
    FileAttributes,
    file_id=st.uuids(),
    original_filename=NAMES,
    storage_filename=NAMES,
    storage_path=st.just("2026/11/22/15"),
    file_size=st.integers(0, MAX_INTEGER),
    content_type=st.sampled_from(["text/plain; charset=utf-8", "application/pdf"]),
    checksum=st.binary(min_size=32, max_size=32).map(bytes.hex),
    digests=st.dictionaries(st.sampled_from(["sha512", "blake3", "sha-256"]), st.just("00ff")),
    created_at=TIMES,
    updated_at=TIMES,
    created_by_id=TEXT,
    created_by_username=TEXT,
    created_by_fullname=st.none() | TEXT,
    description=st.none() | TEXT,
    tags=st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=50), max_size=5
    ),
    version=st.integers(1, MAX_INTEGER),
    status=st.sampled_from(["active", "deleted"]),
    retention=RETENTIONS,
    custom_attributes=st.dictionaries(TEXT, JSON_VALUES, max_size=4),
)


def attributes(**fields: Any) -> FileAttributes:
    defaults: dict[str, Any] = {
        "file_id": FILE_ID,
        "original_filename": "Отчёт.pdf",
        "storage_filename": f"Отчёт_ingester_20261122T150314_{FILE_ID}.pdf",
        "storage_path": "2026/11/22/15",
        "file_size": 5,
        "checksum": "ab" * 32,
        "created_at": TIME,
        "updated_at": TIME,
        "created_by_id": "sa-1",
        "created_by_username": "ingester",
    }
    return FileAttributes(**(defaults | fields))


def stored(**fields: Any) -> bytes:
    """A sidecar as it may lie on a disk, written by another hand."""
    document: dict[str, Any] = json.loads(attributes().to_json())
    return json.dumps(document | fields).encode()


# --- the canonical form ---


@given(SIDECARS)
def test_what_is_written_is_read_back_equal(sidecar: FileAttributes) -> None:
    assert FileAttributes.from_json(sidecar.to_json()) == sidecar


@given(SIDECARS)
def test_the_written_form_is_canonical_json(sidecar: FileAttributes) -> None:
    raw = sidecar.to_json()

    assert raw == rfc8785.dumps(json.loads(raw))


@given(st.floats(1e-5, MAX_INTEGER) | st.floats(-MAX_INTEGER, MAX_INTEGER))
@example(1e-7)
@example(1e-4)
@example(-999999999999999.9)
@example(1e15)
def test_a_float_is_written_canonically(amount: float) -> None:
    raw = attributes(custom_attributes={"amount": amount}).to_json()

    assert raw == rfc8785.dumps(json.loads(raw))


@given(SIDECARS, st.randoms())
def test_the_digest_does_not_depend_on_how_a_sidecar_was_spelled(
    sidecar: FileAttributes, random: Any
) -> None:
    members = list(json.loads(sidecar.to_json()).items())
    random.shuffle(members)
    spelled_otherwise = json.dumps(dict(members), indent=2, ensure_ascii=True).encode()

    read = FileAttributes.from_json(spelled_otherwise)

    assert read.digest == sidecar.digest == hashlib.sha256(sidecar.to_json()).hexdigest()


def test_a_sidecar_is_the_text_of_the_design_page() -> None:
    sidecar = attributes(tags=["год"], custom_attributes={"b": 1.0, "a": [None, True]})

    assert sidecar.to_json().decode() == (
        '{"checksum":"' + "ab" * 32 + '","content_type":"application/octet-stream",'
        '"created_at":"2026-11-22T15:03:14.123456Z","created_by_id":"sa-1","created_by_username":"ingester",'
        '"custom_attributes":{"a":[null,true],"b":1},"digests":{},'
        '"file_id":"0197b2c4-5d6e-7f80-9a1b-2c3d4e5f6071","file_size":5,"original_filename":"Отчёт.pdf",'
        '"retention":{"holds":[],"policy":"permanent"},"schema_version":"2.0","status":"active",'
        '"storage_filename":"Отчёт_ingester_20261122T150314_0197b2c4-5d6e-7f80-9a1b-2c3d4e5f6071.pdf",'
        '"storage_path":"2026/11/22/15","tags":["год"],"updated_at":"2026-11-22T15:03:14.123456Z","version":1}'
    )


def test_times_are_written_in_utc_with_six_digits() -> None:
    moscow = timezone(timedelta(hours=3))

    document = json.loads(attributes(created_at=datetime(2026, 1, 1, 2, 0, tzinfo=moscow)).to_json())

    assert document["created_at"] == "2025-12-31T23:00:00.000000Z"


def test_a_sidecar_larger_than_the_limit_is_not_written() -> None:
    sidecar = attributes(custom_attributes={"text": "x" * MAX_SIDECAR_SIZE})

    with pytest.raises(ContentTooLargeError, match="65536"):
        sidecar.to_json()


def test_the_limit_counts_every_byte() -> None:
    size = len(attributes().to_json())

    assert attributes().to_json(limit=size)
    with pytest.raises(ContentTooLargeError):
        attributes().to_json(limit=size - 1)


# --- what a field may hold ---


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("original_filename", "я" * 300),
        ("original_filename", "я" * MAX_FILENAME_LENGTH),
        ("original_filename", "👩‍👩‍👧‍👦 🎉.jpg"),
        ("original_filename", "..a"),
        ("original_filename", "."*499 + "a"),
        ("original_filename", " "),
        ("file_size", 0),
        ("file_size", MAX_INTEGER),
        ("content_type", 'text/html; charset="utf-8"; x=y'),
        ("content_type", "a/" + "b" * (MAX_CONTENT_TYPE_LENGTH - 2)),
        ("description", "строка\n" * 142),
        ("tags", ["т" * MAX_TAG_LENGTH] * MAX_TAGS),
        ("custom_attributes", {"n": MAX_INTEGER, "m": -MAX_INTEGER, "f": 1e-300, "": None}),
    ],
)  # fmt: skip
def test_every_legal_value_is_kept(field: str, value: object) -> None:
    sidecar = FileAttributes.from_json(attributes(**{field: value}).to_json())

    assert getattr(sidecar, field) == value


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("original_filename", "", "1 to 500 characters"),
        ("original_filename", "я" * (MAX_FILENAME_LENGTH + 1), "1 to 500 characters"),
        ("original_filename", "a/b", "without a path"),
        ("original_filename", "a\\b", "without a path"),
        ("original_filename", "/", "without a path"),
        ("original_filename", ".", "dots alone"),
        ("original_filename", "..", "dots alone"),
        ("original_filename", "....", "dots alone"),
        ("original_filename", "a\0b", r"U\+0000"),
        ("original_filename", "a\nb", "control character"),
        ("original_filename", "a\x7fb", "control character"),
        ("original_filename", "a\x9bb", "control character"),
        ("original_filename", "a\u2028b", "control character"),
        ("original_filename", "a\udcffb", "surrogate"),
        ("storage_filename", "a/b", "should match pattern"),
        ("file_size", -1, "greater than or equal to 0"),
        ("file_size", MAX_INTEGER + 1, "less than or equal"),
        ("file_size", "5", "valid integer"),
        ("content_type", "pdf", "media type"),
        ("content_type", "text/plain\r\nX: y", "media type"),
        ("content_type", "text/plain; charset", "media type"),
        ("content_type", "a/" + "b" * (MAX_CONTENT_TYPE_LENGTH - 1), "at most 255"),
        ("checksum", "AB" * 32, "should match pattern"),
        ("checksum", "ab" * 31, "should match pattern"),
        ("digests", {"SHA 512": "00"}, "should match pattern"),
        ("created_at", datetime(2026, 1, 1), "timezone"),
        ("created_at", datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), "years 1 and 9999"),
        ("created_by_id", "a\0b", r"U\+0000"),
        ("created_by_username", "\ud800", "surrogate"),
        ("description", "x" * (MAX_DESCRIPTION_LENGTH + 1), "at most 1000"),
        ("description", "a\0b", r"U\+0000"),
        ("tags", ["x"] * (MAX_TAGS + 1), "at most 50 items"),
        ("tags", ["x" * (MAX_TAG_LENGTH + 1)], "at most 50 characters"),
        ("tags", [""], "at least 1 character"),
        ("version", 0, "greater than or equal to 1"),
        ("version", True, "valid integer"),
        ("status", "gone", "'active' or 'deleted'"),
        ("schema_version", "3.0", "should match pattern"),
        ("custom_attributes", {"n": MAX_INTEGER + 1}, r"in 'n': numbers beyond 2\^53"),
        ("custom_attributes", {"n": 1e16}, r"in 'n': numbers beyond 2\^53"),
        ("custom_attributes", {"a": [{"b": -MAX_INTEGER - 1}]}, r"in 'a': numbers beyond 2\^53"),
        ("custom_attributes", {"n": float("nan")}, "numbers beyond"),
        ("custom_attributes", {"n": [float("inf")]}, "numbers beyond"),
        ("custom_attributes", {"a": {"b": "\0"}}, r"U\+0000"),
        ("custom_attributes", {"a": {"\0": 1}}, r"U\+0000"),
        ("custom_attributes", {"\0": 1}, r"U\+0000"),
        ("custom_attributes", {"a": "\ud800"}, "surrogate"),
        ("custom_attributes", {"a": object()}, "custom_attributes"),
    ],
)
def test_every_illegal_value_is_refused_with_what_to_change(field: str, value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        attributes(**{field: value})


def nested(levels: int) -> JsonValue:
    value: JsonValue = 1
    for _ in range(levels):
        value = [value]
    return value


def test_custom_attributes_may_nest_up_to_the_limit() -> None:
    assert attributes(custom_attributes={"a": nested(MAX_NESTING)}).to_json()

    with pytest.raises(ValidationError, match="more than 32 levels"):
        attributes(custom_attributes={"a": nested(MAX_NESTING + 1)})


def test_a_file_name_is_kept_in_its_composed_form() -> None:
    decomposed = "и\u0306" * MAX_FILENAME_LENGTH

    assert attributes(original_filename=decomposed).original_filename == "й" * MAX_FILENAME_LENGTH


def test_the_length_of_a_file_name_is_counted_after_composition() -> None:
    grows = "\u0958" * MAX_FILENAME_LENGTH

    with pytest.raises(ValidationError, match="1 to 500 characters"):
        attributes(original_filename=grows)


def test_a_temporary_file_must_say_when_it_expires() -> None:
    with pytest.raises(ValidationError, match="a temporary file needs expires_at"):
        Retention(policy="temporary")

    assert Retention(policy="temporary", expires_at=TIME).expires_at == TIME


def test_attributes_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        attributes().version = 7  # type: ignore[misc]  # that it is refused is the point


def test_the_storage_key_joins_directory_and_name() -> None:
    sidecar = attributes(storage_path="2026/11/22/15", storage_filename="a.pdf")

    assert sidecar.storage_key == "2026/11/22/15/a.pdf"


# --- changes ---


def test_a_change_gives_the_next_version_and_leaves_the_old_one() -> None:
    old = attributes(description="before", tags=["a"])

    new = old.changed(description=None, status="deleted")

    assert (new.description, new.status, new.tags, new.version) == (None, "deleted", ["a"], 2)
    assert new.updated_at > old.updated_at or new.updated_at == TIME
    assert (old.description, old.status, old.version) == ("before", "active", 1)


def test_the_time_of_a_change_is_now_unless_the_clock_went_back() -> None:
    long_ago, far_ahead = TIME.replace(year=2001), TIME.replace(year=9000)
    before = datetime.now(UTC)

    assert before <= attributes(updated_at=long_ago).changed(tags=[]).updated_at <= datetime.now(UTC)
    assert attributes(updated_at=far_ahead).changed(tags=[]).updated_at == far_ahead


def test_an_illegal_change_is_an_invalid_request_that_names_the_field() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        attributes().changed(tags=["x" * 51], custom_attributes={"n": 2**60})

    assert [path for path, _ in caught.value.errors] == ["tags.0", "custom_attributes"]


# --- stored sidecars ---


def test_fields_of_a_newer_minor_version_survive_a_rewrite() -> None:
    hold = {
        "id": "1",
        "reason": "r",
        "placed_by": "p",
        "placed_at": "2026-01-01T00:00:00.000000Z",
        "court": 1.5,
    }
    raw = stored(
        schema_version="2.7",
        thumbnail={"𐀀": 1.5e-21, "\uffff": [1.0]},
        retention={"policy": "permanent", "holds": [hold], "law": "44-ФЗ"},
    )

    rewritten = FileAttributes.from_json(raw).changed(description="new").to_json()

    document = json.loads(rewritten)
    assert document["schema_version"] == "2.7"
    assert document["thumbnail"] == {"𐀀": 1.5e-21, "\uffff": [1]}
    assert document["retention"] == {"policy": "permanent", "holds": [hold], "law": "44-ФЗ"}
    assert rewritten == rfc8785.dumps(document)


def test_unknown_fields_inside_known_ones_are_written_canonically() -> None:
    raw = stored(retention={"policy": "permanent", "holds": [], "weight": 1.0, "\uffff": 1, "𐀀": 2})

    rewritten = FileAttributes.from_json(raw).to_json()

    assert rewritten == rfc8785.dumps(json.loads(rewritten))


def test_unknown_fields_obey_the_rule_for_numbers_too() -> None:
    with pytest.raises(CorruptedError, match=r"in 'big': numbers beyond 2\^53"):
        FileAttributes.from_json(stored(big=2**53))


@pytest.mark.parametrize("version", ["3.0", "10.0", "", "x", 2, None])
def test_another_major_version_is_refused_by_name(version: object) -> None:
    with pytest.raises(UnsupportedError) as caught:
        FileAttributes.from_json(stored(schema_version=version))

    assert f"schema version {version!r}" in caught.value.detail


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "not JSON"),
        (b"\0" * 512, "not JSON"),
        (b'{"file_id":', "not JSON"),
        (b'{"file_size": NaN}', "not JSON"),
        (b'{"a": "\\ud800"}', "not JSON"),
        (b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[]", "not a JSON object"),
        (stored(file_size=-1), "file_size: should be greater"),
        (stored(file_size="5"), "file_size: should be a valid integer"),
        (stored(created_at=1), "created_at: "),
        (stored(retention={"policy": "temporary"}), "retention: a temporary file needs expires_at"),
    ],
)
def test_a_damaged_sidecar_is_corrupted_and_says_how(raw: bytes, message: str) -> None:
    with pytest.raises(CorruptedError, match=message):
        FileAttributes.from_json(raw)


def test_a_sidecar_larger_than_the_limit_is_not_parsed() -> None:
    raw = attributes().to_json()

    with pytest.raises(CorruptedError, match="more than the limit of 100"):
        FileAttributes.from_json(raw, limit=100)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_by_a_domain_error(raw: bytes) -> None:
    with pytest.raises((CorruptedError, UnsupportedError)):
        FileAttributes.from_json(raw)


@given(st.data())
def test_a_flipped_byte_is_read_or_refused_by_a_domain_error(data: st.DataObject) -> None:
    raw = bytearray(attributes(custom_attributes={"n": 1.5}).to_json())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))

    try:
        read = FileAttributes.from_json(bytes(raw))
    except (CorruptedError, UnsupportedError):
        return

    assert FileAttributes.from_json(read.to_json()) == read
