"""What a client declares for an upload arrives unchanged, or is refused by the name of the field."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artstore.core.attributes import Retention
from artstore.core.spec import ContentTooLargeError, InvalidRequestError
from artstore.core.upload_attributes import MAX_ATTRIBUTES_HEADER, UploadAttributes

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50)
UPLOADS = st.builds(
    UploadAttributes,
    original_filename=st.sampled_from(["a.txt", "я" * 300, "🎉", "..x"]),
    content_type=st.none() | st.just("text/plain; charset=utf-8"),
    description=st.none() | TEXT,
    tags=st.lists(TEXT.filter(bool), max_size=3),
    custom_attributes=st.dictionaries(TEXT, TEXT | st.none() | st.booleans() | st.floats(-1, 1), max_size=3),
    retention_policy=st.just("temporary"),
    ttl_days=st.none() | st.integers(1, 365),
    checksum=st.none() | st.just("ab" * 32),
)


def header_of(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode()


def faults_of(**fields: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequestError) as caught:
        UploadAttributes.from_header(header_of({"original_filename": "a.txt"} | fields))
    return list(caught.value.errors)


# --- the header ---


@given(UPLOADS)
def test_the_header_carries_everything(upload: UploadAttributes) -> None:
    assert UploadAttributes.from_header(upload.encode_header()) == upload


def test_the_header_is_plain_ascii_without_padding() -> None:
    value = UploadAttributes(original_filename="Отчёт.pdf").encode_header()

    assert value.isascii()
    assert "=" not in value


@pytest.mark.parametrize("padding", ["", "=", "=="])
def test_padding_of_the_header_is_accepted(padding: str) -> None:
    name = {"": "abc", "=": "ab", "==": "a"}[padding]
    value = base64.urlsafe_b64encode(json.dumps({"original_filename": name}).encode()).decode()

    for spelled in {value, value.rstrip("=")}:
        assert UploadAttributes.from_header(spelled).original_filename == name


@pytest.mark.parametrize("value", ["*", "a", "Отчёт", "\udcff", "YQ\n"])
def test_a_header_that_is_not_base64url_is_an_invalid_request(value: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        UploadAttributes.from_header(value)

    assert caught.value.errors == (("Artstore-Attributes", "should be JSON encoded as base64url"),)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b'"a"', b'{"original_filename": "\\ud800"}'])
def test_a_header_that_is_not_a_json_object_is_an_invalid_request(raw: bytes) -> None:
    with pytest.raises(InvalidRequestError, match=r"^Artstore-Attributes: "):
        UploadAttributes.from_header(base64.urlsafe_b64encode(raw).decode())


def test_attributes_that_do_not_fit_into_the_header_are_too_large() -> None:
    upload = UploadAttributes(original_filename="a", custom_attributes={"a": "x" * MAX_ATTRIBUTES_HEADER})

    with pytest.raises(ContentTooLargeError, match="8192"):
        upload.encode_header()
    with pytest.raises(ContentTooLargeError, match="8192"):
        UploadAttributes.from_header("a" * (MAX_ATTRIBUTES_HEADER + 1))


# --- the rules ---


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"original_filename": "../a"}, "original_filename", "without a path"),
        ({"content_type": "pdf"}, "content_type", "media type"),
        ({"description": "x" * 1001}, "description", "at most 1000"),
        ({"tags": "a,b"}, "tags", "should be a valid array"),
        ({"tags": ["x" * 51]}, "tags.0", "at most 50"),
        ({"custom_attributes": {"n": 2**53}}, "custom_attributes", "in 'n': numbers beyond"),
        ({"retention_policy": "forever"}, "retention_policy", "'temporary' or 'permanent'"),
        ({"retention_policy": "temporary", "ttl_days": 0}, "ttl_days", "greater than or equal to 1"),
        ({"retention_policy": "temporary", "ttl_days": 366}, "ttl_days", "less than or equal to 365"),
        ({"retention_policy": "temporary", "ttl_days": "30"}, "ttl_days", "valid integer"),
        ({"retention_policy": "permanent", "ttl_days": 30}, "ttl_days", "temporary files only"),
        ({"ttl_days": 30}, "ttl_days", "temporary files only"),
        ({"checksum": "AB" * 32}, "checksum", "should match pattern"),
        ({"descripton": "x"}, "descripton", "did you mean description?"),
    ],
)
def test_a_fault_is_told_by_the_name_of_its_field(fields: dict[str, Any], path: str, message: str) -> None:
    [(found, told)] = faults_of(**fields)

    assert found == path
    assert message in told


def test_a_name_is_required() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        UploadAttributes.from_header(header_of({}))

    assert caught.value.errors == (("original_filename", "is required"),)


def test_a_file_is_permanent_unless_declared_otherwise() -> None:
    upload = UploadAttributes(original_filename="a")

    assert upload.retention(created_at=datetime.now(UTC)) == Retention(policy="permanent")


@pytest.mark.parametrize(("declared", "days"), [(None, 30), (1, 1), (365, 365)])
def test_a_temporary_file_expires_after_its_days(declared: int | None, days: int) -> None:
    created_at = datetime(2026, 1, 1, tzinfo=UTC)
    upload = UploadAttributes(original_filename="a", retention_policy="temporary", ttl_days=declared)

    retention = upload.retention(created_at=created_at)

    assert retention == Retention(policy="temporary", expires_at=created_at + timedelta(days=days))


# --- the form ---


def test_a_form_says_the_same_as_the_header() -> None:
    form = UploadAttributes.from_form(
        {
            "original_filename": "Отчёт.pdf",
            "content_type": "application/pdf",
            "description": "за год",
            "tags": '["год", "2026"]',
            "metadata": '{"case": {"number": 17}}',
            "retention_policy": "temporary",
            "ttl_days": "5",
            "checksum": "ab" * 32,
        }
    )

    assert form == UploadAttributes(
        original_filename="Отчёт.pdf",
        content_type="application/pdf",
        description="за год",
        tags=["год", "2026"],
        custom_attributes={"case": {"number": 17}},
        retention_policy="temporary",
        ttl_days=5,
        checksum="ab" * 32,
    )


@pytest.mark.parametrize(
    ("field", "text", "path"),
    [
        ("tags", "a,b", "tags"),
        ("tags", "", "tags"),
        ("tags", "[1]", "tags.0"),
        ("tags", '{"a": 1}', "tags"),
        ("metadata", "{", "metadata"),
        ("metadata", "[]", "custom_attributes"),
        ("metadata", '{"n": NaN}', "custom_attributes"),
        ("metadata", '{"n": 1, "n": 2}', "n"),
        ("ttl_days", "soon", "ttl_days"),
        ("ttl_days", "5", "ttl_days"),
        ("desciption", "x", "desciption"),
        ("description", "\udcff", "description"),
        ("original_filename", "\udcff", "original_filename"),
    ],
)
def test_a_fault_in_a_form_is_told_by_the_name_of_its_field(field: str, text: str, path: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        UploadAttributes.from_form({"original_filename": "a.txt", field: text})

    assert [found for found, _ in caught.value.errors] == [path]
